"""Estimates tokens before a vendor has counted them, and learns from every count how far off it was."""

from collections import deque
from math import ceil

from router_service.prompt_facts import PromptFacts

BYTES_PER_TOKEN = 3.2
TOKENS_PER_MESSAGE = 4
TOKENS_PER_PROMPT = 3
TOKENS_PER_IMAGE = 1_100
# What is held for an answer nobody bounded, until the model has shown how long it answers.
UNKNOWN_OUTPUT = 1_024
RATIO_BOUNDS = (0.5, 2.0)
MEMORY = 64
ENOUGH = 8


class Percentile:
    """A percentile of the last observations; `default` until there are eight."""

    def __init__(self, default: float, share: float = 0.95) -> None:
        self._seen: deque[float] = deque(maxlen=MEMORY)
        self._share = share
        self.value = default

    @property
    def observations(self) -> int:
        """Return how many figures it rests on; fewer than eight do not count yet."""
        return len(self._seen) if len(self._seen) >= ENOUGH else 0

    def observe(self, figure: float) -> None:
        """Add one observation."""
        self._seen.append(figure)
        if len(self._seen) >= ENOUGH:
            self.value = sorted(self._seen)[ceil(self._share * len(self._seen)) - 1]


class Estimator:
    """What each model has taught us; `model` is "vendor/model" everywhere."""

    def __init__(self) -> None:
        self._ratios: dict[str, Percentile] = {}
        self._outputs: dict[str, Percentile] = {}
        self._durations: dict[str, Percentile] = {}

    def input_tokens(self, facts: PromptFacts, model: str) -> int:
        """Estimate prompt tokens, on the high side."""
        return self.scaled(plain_input_tokens(facts), model)

    def scaled(self, plain: int, model: str) -> int:
        """Return what a model makes of so many tokens as sizes alone would say."""
        learned = self._ratios.get(model)
        return plain if learned is None else ceil(plain * min(max(learned.value, RATIO_BOUNDS[0]), RATIO_BOUNDS[1]))

    def output_tokens(self, facts: PromptFacts, default: int | None, model: str, longest: int) -> int:
        """Estimate the tokens of all answers: the caller's bound, else the use case's, else the model's habit.

        Vectors are no tokens.

        Args:
            facts: the prompt's facts.
            default: the use case's bound.
            model: whose habits to use.
            longest: the model's own bound, 0 when unknown.
        """
        if facts.vectors is not None:
            return 0
        bound = facts.max_output_tokens or default
        if bound is None:
            learned = self._outputs.get(model)
            bound = UNKNOWN_OUTPUT if learned is None else ceil(learned.value)
        return (min(bound, longest) if longest else bound) * facts.answers

    def learned_from(self, model: str) -> int:
        """Return how many answers of a model its estimates rest on."""
        known = self._ratios.get(model)
        return 0 if known is None else known.observations

    def learn(self, facts: PromptFacts, model: str, input_tokens: int, output_tokens: int) -> None:
        """Compare what a vendor counted with what was estimated."""
        plain = plain_input_tokens(facts)
        self._ratios.setdefault(model, Percentile(1.0)).observe(input_tokens / plain)
        self._outputs.setdefault(model, Percentile(UNKNOWN_OUTPUT)).observe(output_tokens / facts.answers)

    def seconds(self, model: str) -> float:
        """Return how long an answer of a local model usually takes, half of them less; 0 while nobody knows."""
        known = self._durations.get(model)
        return 0.0 if known is None else known.value

    def answered(self, model: str, seconds: float) -> None:
        """Note how long an answer took."""
        self._durations.setdefault(model, Percentile(0.0, share=0.5)).observe(seconds)


def plain_input_tokens(facts: PromptFacts) -> int:
    """Estimate prompt tokens from sizes alone; at least 1."""
    text = ceil(facts.text_bytes / BYTES_PER_TOKEN)
    return TOKENS_PER_PROMPT + text + facts.messages * TOKENS_PER_MESSAGE + facts.images * TOKENS_PER_IMAGE


def least_tokens(size: int) -> int:
    """Return how many tokens `size` bytes of text have at the very least, whatever the model."""
    return ceil(size / BYTES_PER_TOKEN * RATIO_BOUNDS[0])


def text_tokens(size: int) -> int:
    """Estimate the tokens of `size` bytes of generated text."""
    return ceil(size / BYTES_PER_TOKEN)
