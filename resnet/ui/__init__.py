"""The page: one file a tab, thin; reads controls, calls the layers below, shows."""

import os

# Must be set before gradio is imported, or it asks two outside hosts at start.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# It otherwise sums up every past event after every event, and slows down with use.
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
