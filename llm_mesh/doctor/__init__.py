"""Finds out what is wrong with a mesh here and what to do about it: evidence is gathered once, checks only read it."""
