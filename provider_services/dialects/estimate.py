"""Guesses tokens when the vendor does not count them; every guess is flagged as one."""

from collections.abc import Iterable

from llmmesh.chat.v1.chat_pb2 import Delta, Prompt, Usage

TOKENS_PER_MESSAGE = 4
TOKENS_PER_IMAGE = 800


def tokens(byte_count: int) -> int:
    """Return how many tokens that many bytes of text are likely to be: one for every 3.2, rounded up."""
    return -(-byte_count * 10 // 32)


def prompt_tokens(prompt: Prompt) -> int:
    """Return how many tokens a prompt is likely to cost."""
    images = sum(part.HasField("image") for message in prompt.messages for part in message.parts)
    inline = sum(
        len(part.image.data) for message in prompt.messages for part in message.parts if part.HasField("image")
    )
    bytes_of_text = max(0, prompt.ByteSize() - inline)
    return tokens(bytes_of_text) + TOKENS_PER_MESSAGE * len(prompt.messages) + TOKENS_PER_IMAGE * images


class Received:
    """Counts what has come of an answer, in case nobody else does: a piece is a token or more."""

    def __init__(self) -> None:
        self._pieces = 0
        self._characters = 0

    def add(self, deltas: Iterable[Delta]) -> None:
        """Count pieces."""
        for delta in deltas:
            self._pieces += 1
            self._characters += len(delta.text) + len(delta.reasoning) + len(delta.tool_arguments)

    def usage(self) -> Usage:
        """Return the guess."""
        return Usage(output_tokens=max(self._pieces, tokens(self._characters)), estimated=True)
