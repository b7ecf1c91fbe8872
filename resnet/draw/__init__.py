"""Pictures from numpy arrays and plain values; no torch in here."""
