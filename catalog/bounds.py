"""The bounds of what a prompt may ask of the sampling, the same for all who read one; both are inclusive."""

from collections.abc import Mapping

SAMPLING: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_k": (1, 1_000_000),
    "max_output_tokens": (1, 10_000_000),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "n": (1, 128),
    "top_logprobs": (0, 20),
}
