"""A secret shows nowhere, and a text that repeats it is shown without it."""

import copy
import json
import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshkit.secret import PART, Secret

KEY = "sk-proj-a1B2c3D4e5F6g7H8i9J0wxyz"
LETTERS = st.sampled_from("abcABC019_-")


def test_a_secret_shows_nowhere() -> None:
    secret = Secret(KEY)
    for shown in (repr(secret), str(secret), f"{secret}", repr([secret]), json.dumps({"key": secret}, default=str)):
        assert shown.replace("[", "").replace("]", "") in ("***", '{"key": "***"}')
    assert secret.reveal() == KEY
    assert secret != Secret(KEY)
    with pytest.raises(TypeError, match="unhashable"):
        hash(secret)


@pytest.mark.parametrize("copied", [pickle.dumps, copy.deepcopy])
def test_a_secret_is_not_copied_out(copied) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        copied(Secret(KEY))


REPEATED = [
    (f"Incorrect API key provided: {KEY}. See the docs.", "Incorrect API key provided: ***. See the docs."),
    (f"header Bearer {KEY}, again {KEY}", "header Bearer ***, again ***"),
    # As vendors mask it, by one character or many, at either end or both.
    ("Incorrect API key provided: sk-...wxyz.", "Incorrect API key provided: ***."),
    ("Incorrect API key provided: sk-\u2026wxyz", "Incorrect API key provided: ***"),
    ("Incorrect API key provided: sk-proj-***************wxyz. You can", "Incorrect API key provided: ***. You can"),
    ("key `sk-proj-a1B2***` is wrong", "key `***` is wrong"),
    ("key ending in ****wxyz", "key ending in ***"),
    ("key \u2022\u2022\u2022\u2022wxyz expired", "key *** expired"),
    ("key sk-xxxxxxxxJ0wxyz", "key ***"),
    # Cut off, by the vendor or by us.
    (f"bad key {KEY[:20]}", "bad key ***"),
    (f"bad key {KEY[5:30]}\u2026", "bad key ***"),
    (f"({KEY[-12:]})", "(***)"),
]


@pytest.mark.parametrize(("text", "shown"), REPEATED)
def test_a_text_is_shown_without_the_secret_however_it_is_repeated(text: str, shown: str) -> None:
    assert Secret(KEY).scrub(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rate limit reached for gpt-4o ... try again in 3s",
        "model claude-xxxx-1 does not exist",
        "keys look like ab-...cd",
        "the tail xyz and the head sk alone are nobody's secret",
        "****",
    ],
)
def test_a_text_without_it_stays_as_it_is(text: str) -> None:
    assert Secret(KEY).scrub(text) == text
    assert Secret("").scrub(text) == text


@given(st.text(LETTERS, max_size=40), st.text(LETTERS, min_size=PART, max_size=40), st.integers(0, 40))
@example("", "aaaaaaaaaaaaaaaaaaaa", 3)
def test_no_long_part_of_a_secret_is_ever_left(around: str, key: str, start: int) -> None:
    shown = Secret(key).scrub(f"{around}{key[start:]}{around} {key[:-start]} {around}{key}")
    assert not any(key[place : place + PART] in shown for place in range(len(key) - PART + 1))
