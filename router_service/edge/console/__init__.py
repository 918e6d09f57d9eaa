"""The status page: its files, and what they show as it changes."""
