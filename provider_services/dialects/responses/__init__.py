"""The responses wire."""
