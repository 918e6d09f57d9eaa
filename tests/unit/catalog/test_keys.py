"""Keys in the environment: which slot they fill, and which cannot be right."""

import pytest

from catalog.keys import check_key, is_template, read_keys, slots_from_env
from catalog.loader import load_catalog
from catalog.model import Vendor

VENDORS = load_catalog().vendors
GROQ, GEMINI, OLLAMA = VENDORS["groq"], VENDORS["gemini"], VENDORS["ollama"]


def revealed(vendor: Vendor, **env: str) -> dict[int, str]:
    return {slot: key.reveal() for slot, key in slots_from_env(vendor, env).items()}


TEMPLATES = """\
your-groq-key-here YOUR_API_KEY your_key yourapikey votre_cle_api xxxx sk-xxxxxxxx gsk_XXXX paste-it-here sk-... <key>
${GROQ_API_KEY} changeme
"""


@pytest.mark.parametrize("value", ["", "  ", *TEMPLATES.split()])
def test_a_template_value_counts_as_missing(value: str) -> None:
    assert is_template(value)
    assert check_key(GROQ, value).state == "missing"
    assert check_key(GROQ, value).reason == "no API key"


@pytest.mark.parametrize(
    "value", ["gsk_abcd", "myA81kPz0qLmXxQ2tYvR7cNd3bW5hJ6f", "putX81kPz0qLmQ2tYvR7cNd3bW5hJ6f4", "Xxa9"]
)
def test_a_real_looking_key_is_no_template(value: str) -> None:
    assert not is_template(value)


@pytest.mark.parametrize(
    ("vendor", "value", "state"),
    [
        ("groq", "gsk_0123456789", "ok"),
        ("groq", "sk-0123456789", "malformed"),
        ("groq", "gsk_01234 56789", "malformed"),
        ("groq", "gsk_0123\n456789", "malformed"),
        ("groq", "gsk_é123456789", "malformed"),
        ("openai", "sk-proj-0123456789", "ok"),
        ("openai", "gsk_0123456789", "malformed"),
        ("gemini", "AIzaSy0123456789", "ok"),
        ("gemini", "0123456789", "malformed"),
        ("ollama", "", "ok"),
    ],
)
def test_a_key_is_judged_by_the_format_of_its_vendor(vendor: str, value: str, state: str) -> None:
    judged = check_key(VENDORS[vendor], value)
    assert judged.state == state
    assert not value or value not in judged.reason


def test_numbered_variables_are_the_slots_of_their_numbers() -> None:
    env = {
        "GROQ_API_KEY": "gsk_aaaa",
        "GROQ_API_KEY_2": "gsk_bbbb",
        "GROQ_API_KEY_7": "gsk_cccc",
        "GROQ_API_KEY_X": "gsk_dddd",
    }
    assert revealed(GROQ, **env) == {1: "gsk_aaaa", 2: "gsk_bbbb", 7: "gsk_cccc"}


def test_the_further_keys_of_a_list_take_the_lowest_free_slots() -> None:
    assert revealed(GROQ, GROQ_API_KEY="gsk_aaaa, gsk_bbbb,gsk_cccc,", GROQ_API_KEY_2="gsk_dddd") == {
        1: "gsk_aaaa",
        2: "gsk_dddd",
        3: "gsk_bbbb",
        4: "gsk_cccc",
    }


def test_a_template_value_fills_no_slot() -> None:
    assert revealed(GROQ, GROQ_API_KEY="your-groq-key-here", GROQ_API_KEY_2="gsk_bbbb") == {2: "gsk_bbbb"}


@pytest.mark.parametrize("name", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
def test_either_name_of_a_key_works(name: str) -> None:
    assert revealed(GEMINI, **{name: "AIzaSyOne0"}) == {1: "AIzaSyOne0"}


def test_the_first_of_two_different_names_wins_with_a_warning_naming_both() -> None:
    keys = read_keys(GEMINI, {"GOOGLE_API_KEY": "AIzaSyTwo0", "GEMINI_API_KEY": "AIzaSyOne0"})
    assert keys.slots[1].reveal() == "AIzaSyOne0"
    assert keys.warnings == ("GEMINI_API_KEY and GOOGLE_API_KEY differ: GEMINI_API_KEY is used",)


def test_two_names_with_one_value_are_no_cause_for_a_warning() -> None:
    assert read_keys(GEMINI, {"GOOGLE_API_KEY": "AIzaSyOne0", "GEMINI_API_KEY": "AIzaSyOne0"}).warnings == ()


def test_a_template_under_the_first_name_leaves_the_second_name_its_slot() -> None:
    assert revealed(GEMINI, GEMINI_API_KEY="your-gemini-key-here", GOOGLE_API_KEY="AIzaSyTwo0") == {1: "AIzaSyTwo0"}


def test_a_vendor_without_keys_has_one_slot() -> None:
    assert list(slots_from_env(OLLAMA, {})) == [1]


def test_no_variables_means_no_slots() -> None:
    assert slots_from_env(GROQ, {"PATH": "/bin"}) == {}


def test_keys_do_not_show_in_what_is_printed() -> None:
    assert "gsk_aaaa" not in repr(read_keys(GROQ, {"GROQ_API_KEY": "gsk_aaaa"}))
