"""Tells whether a model is one of those a row names by patterns, such as `big-3*`."""

from collections.abc import Iterable
from fnmatch import fnmatchcase


def fits(patterns: Iterable[str], model: str) -> bool:
    """Tell whether one of the patterns names the model."""
    return any(fnmatchcase(model, pattern) for pattern in patterns)
