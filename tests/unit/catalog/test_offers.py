"""Offers as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.offers import OfferId

names = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-._:", min_size=1)


@pytest.mark.parametrize(
    ("text", "offer"),
    [
        ("groq/openai/gpt-oss-120b#2", OfferId("groq", "openai/gpt-oss-120b", 2)),
        ("ollama/llama3.1:8b#1", OfferId("ollama", "llama3.1:8b", 1)),
        ("openai/gpt-4o", OfferId("openai", "gpt-4o", 1)),
    ],
)
def test_an_offer_is_read_from_its_text(text: str, offer: OfferId) -> None:
    assert OfferId.parse(text) == offer


@pytest.mark.parametrize(
    "text", ["", "groq", "groq/", "/gpt-4o#1", "groq/m#", "groq/m#0", "groq/m#-1", "groq/m#one", "groq/m#²"]
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an offer"):
        OfferId.parse(text)


@given(names, st.lists(names, min_size=1, max_size=3), st.integers(min_value=1, max_value=9999))
def test_text_and_offer_are_one(vendor: str, model: list[str], slot: int) -> None:
    offer = OfferId(vendor, "/".join(model), slot)
    assert OfferId.parse(str(offer)) == offer
