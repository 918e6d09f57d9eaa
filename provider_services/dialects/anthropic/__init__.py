"""The messages wire."""
