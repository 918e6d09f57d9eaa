"""Plumbing every service shares, and no word of the domain."""
