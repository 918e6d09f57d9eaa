"""Holds the simulator's own rule for counting input tokens."""

from collections.abc import Iterable

CHARS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 3
CACHE_BLOCK = 128


def message_tokens(texts: Iterable[str]) -> int:
    """Count one message: a token for every four characters begun, and three for the message itself."""
    chars = sum(map(len, texts))
    return -(-chars // CHARS_PER_TOKEN) + TOKENS_PER_MESSAGE


def cached_tokens(earlier: int) -> int:
    """Return how many of the tokens before the last message were seen and kept before: whole blocks of them."""
    return earlier // CACHE_BLOCK * CACHE_BLOCK
