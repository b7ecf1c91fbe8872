"""Tests that drive the page in Chromium.  A package, so that its conftest has a name of its own."""
