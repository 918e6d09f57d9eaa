"""Bends how the model shall sample, how long and how often it shall answer, and where it shall stop."""

from provider_services.dialects.notes import refuse
from provider_services.dialects.openai.quirks.draft import Draft


def drop_sampling(draft: Draft) -> None:
    """Leave out all that says how to sample."""
    draft.drop("temperature", "sampling.temperature")
    draft.drop("top_p", "sampling.top_p")
    no_penalties(draft)
    no_logprobs(draft)


def no_sampling(draft: Draft) -> None:
    """Leave sampling out, for models that fix it whether they think or not."""
    drop_sampling(draft)


def no_top_k(draft: Draft) -> None:
    """Leave top_k out, as the wire's inventor does."""
    draft.drop("top_k", "sampling.top_k")


def max_completion_tokens(draft: Draft) -> None:
    """Name the limit as reasoning models want it: with the reasoning counted."""
    draft.rename("max_tokens", "max_completion_tokens")


def no_seed(draft: Draft) -> None:
    """Leave the seed out."""
    draft.drop("seed", "sampling.seed")


def random_seed(draft: Draft) -> None:
    """Name the seed otherwise."""
    draft.rename("seed", "random_seed")


def one_answer(draft: Draft) -> None:
    """Refuse to ask for several answers; one is sent without saying so."""
    if draft.body.pop("n", 1) > 1:
        raise refuse("sampling.n", "this vendor gives one answer")


def one_answer_beside_tools(draft: Draft) -> None:
    """Refuse to ask for several answers where tools may be called."""
    if "tools" in draft.body and draft.body.get("n", 1) > 1:
        raise refuse("sampling.n", "this vendor gives one answer where tools may be called")


def one_answer_in_streams(draft: Draft) -> None:
    """Refuse to stream several answers."""
    if draft.call.stream and draft.body.get("n", 1) > 1:
        raise refuse("sampling.n", "this vendor streams one answer")


def at_most_4_answers(draft: Draft) -> None:
    """Refuse to ask for more answers than the vendor gives."""
    if draft.body.get("n", 1) > 4:
        raise refuse("sampling.n", "this vendor gives at most 4 answers")


def no_logprobs(draft: Draft) -> None:
    """Leave token probabilities out."""
    draft.drop("logprobs", "sampling.top_logprobs")
    draft.drop("top_logprobs", "sampling.top_logprobs")


def at_most_8_logprobs(draft: Draft) -> None:
    """Ask for as many likeliest tokens as the vendor tells."""
    if draft.body.get("top_logprobs", 0) > 8:
        draft.clamp("top_logprobs", 8, "sampling.top_logprobs", "this vendor tells at most 8")


def no_penalties(draft: Draft) -> None:
    """Leave both penalties out."""
    no_frequency_penalty(draft)
    draft.drop("presence_penalty", "sampling.presence_penalty")


def no_frequency_penalty(draft: Draft) -> None:
    """Leave one penalty out."""
    draft.drop("frequency_penalty", "sampling.frequency_penalty")


def no_stops(draft: Draft) -> None:
    """Refuse stop texts."""
    if draft.body.get("stop"):
        raise refuse("sampling.stop", "this vendor or model takes no stop texts")


def one_stop(draft: Draft) -> None:
    """Refuse more than one stop text; the answer would end elsewhere."""
    _at_most_stops(draft, 1)


def at_most_4_stops(draft: Draft) -> None:
    """Refuse more stop texts than the vendor takes."""
    _at_most_stops(draft, 4)


def at_most_5_stops(draft: Draft) -> None:
    """Refuse more stop texts than the vendor takes."""
    _at_most_stops(draft, 5)


def at_most_16_stops(draft: Draft) -> None:
    """Refuse more stop texts than the vendor takes."""
    _at_most_stops(draft, 16)


def zero_temperature_is_tiny(draft: Draft) -> None:
    """Send the smallest temperature the vendor takes instead of zero."""
    if draft.body.get("temperature") == 0:
        draft.body["temperature"] = 1e-8


def temperature_at_least_a_hundredth(draft: Draft) -> None:
    """Raise a lower temperature to the least the vendor takes."""
    if draft.body.get("temperature", 1) < 0.01:
        draft.clamp("temperature", 0.01, "sampling.temperature", "this vendor takes at least 0.01")


def temperature_at_most_1(draft: Draft) -> None:
    """Clamp the temperature."""
    if draft.body.get("temperature", 0) > 1:
        draft.clamp("temperature", 1, "sampling.temperature", "this vendor takes at most 1")


def temperature_below_2(draft: Draft) -> None:
    """Clamp the temperature, where the highest there is is one too many."""
    if draft.body.get("temperature", 0) >= 2:
        draft.clamp("temperature", 1.99, "sampling.temperature", "this vendor takes less than 2")


def _at_most_stops(draft: Draft, most: int) -> None:
    if len(draft.body.get("stop", ())) > most:
        raise refuse("sampling.stop", f"this vendor takes at most {most} stop {'text' if most == 1 else 'texts'}")
