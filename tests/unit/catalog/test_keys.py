"""Keys in the environment: which slot they fill, and which cannot be right."""

import pytest
from fixtures.shipped import shipped

from catalog.keys import check_key, holds_key, is_template, read_keys, variable_of
from catalog.model import Vendor

VENDORS = shipped().vendors
GROQ, GEMINI, OLLAMA = VENDORS["groq"], VENDORS["gemini"], VENDORS["ollama"]


def revealed(vendor: Vendor, **env: str) -> dict[int, str]:
    return {slot: found.key.reveal() for slot, found in read_keys(vendor, env).slots.items()}


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
        ("groq", '"gsk_0123456789"', "malformed"),
        ("groq", "gsk_0123456789'", "malformed"),
        ("groq", "Bearer gsk_0123456789", "malformed"),
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


@pytest.mark.parametrize(
    "listed",
    [
        "gsk_aaaa,gsk_bbbb,gsk_cccc",
        " gsk_aaaa, gsk_bbbb ,gsk_cccc, ",
        "gsk_aaaa\ngsk_bbbb\n\ngsk_cccc\n",
        "gsk_aaaa,\r\n  gsk_bbbb,\r\n  gsk_cccc\r\n",
    ],
)
def test_the_keys_of_a_list_are_the_slots_of_their_places(listed: str) -> None:
    assert revealed(GROQ, GROQ_API_KEY=listed) == {1: "gsk_aaaa", 2: "gsk_bbbb", 3: "gsk_cccc"}


@pytest.mark.parametrize("hole", ["", "your-groq-key-here"])
def test_an_empty_place_in_a_list_keeps_the_others_where_they_are(hole: str) -> None:
    assert revealed(GROQ, GROQ_API_KEY=f"gsk_aaaa,{hole},gsk_cccc") == {1: "gsk_aaaa", 3: "gsk_cccc"}


def test_a_list_and_numbered_variables_go_together_where_they_speak_of_different_slots() -> None:
    keys = read_keys(GROQ, {"GROQ_API_KEY": "gsk_aaaa,gsk_bbbb", "GROQ_API_KEY_3": "gsk_cccc"})
    assert {slot: found.place for slot, found in keys.slots.items()} == {
        1: "key 1 of GROQ_API_KEY",
        2: "key 2 of GROQ_API_KEY",
        3: "GROQ_API_KEY_3",
    }
    assert keys.warnings == ()


COLLISIONS = [
    (
        {"GROQ_API_KEY": "gsk_aaaa,gsk_bbbb", "GROQ_API_KEY_2": "gsk_dddd"},
        {1: "gsk_aaaa", 2: "gsk_dddd"},
        "GROQ_API_KEY_2 and key 2 of GROQ_API_KEY differ: GROQ_API_KEY_2 is used for slot 2",
    ),
    (
        {"GROQ_API_KEY": "gsk_aaaa", "GROQ_API_KEY_1": "gsk_dddd"},
        {1: "gsk_dddd"},
        "GROQ_API_KEY_1 and GROQ_API_KEY differ: GROQ_API_KEY_1 is used for slot 1",
    ),
]


@pytest.mark.parametrize(("env", "slots", "warning"), COLLISIONS)
def test_a_numbered_variable_beats_a_list_with_a_warning_naming_both(
    env: dict[str, str], slots: dict[int, str], warning: str
) -> None:
    assert revealed(GROQ, **env) == slots
    assert read_keys(GROQ, env).warnings == (warning,)


def test_the_same_key_said_twice_is_no_cause_for_a_warning() -> None:
    env = {"GROQ_API_KEY": "gsk_aaaa,gsk_bbbb", "GROQ_API_KEY_2": "gsk_bbbb"}
    assert read_keys(GROQ, env).warnings == ()


def test_lists_under_two_names_meet_place_by_place() -> None:
    env = {"GEMINI_API_KEY": "AIzaSyOne0", "GOOGLE_API_KEY": "AIzaSyTwo0,AIzaSyThree"}
    assert revealed(GEMINI, **env) == {1: "AIzaSyOne0", 2: "AIzaSyThree"}
    assert read_keys(GEMINI, env).warnings == (
        "GEMINI_API_KEY and key 1 of GOOGLE_API_KEY differ: GEMINI_API_KEY is used for slot 1",
    )


def test_a_list_in_a_numbered_variable_is_malformed_and_says_where_lists_belong() -> None:
    (found,) = read_keys(GROQ, {"GROQ_API_KEY_2": "gsk_aaaa,gsk_bbbb"}).slots.values()
    judged = check_key(GROQ, found.key.reveal())
    assert (found.place, judged.state) == ("GROQ_API_KEY_2", "malformed")
    assert judged.reason == "holds several keys; a list of keys belongs in GROQ_API_KEY"


@pytest.mark.parametrize("variable", ["GROQ_API_KEYS", "GROQ_API_KEY2", "GROQ_API_KEY_0", "GROQ_API_KEY_02"])
def test_a_variable_that_was_meant_to_hold_a_key_is_told_of_and_is_a_key_to_everyone_else(variable: str) -> None:
    keys = read_keys(GROQ, {variable: "gsk_aaaa"})
    assert keys.slots == {}
    (warning,) = keys.warnings
    assert warning.startswith(f"{variable} is not read; several keys are GROQ_API_KEY=key1,key2 or GROQ_API_KEY")
    assert holds_key(GROQ.key_env, variable)
    assert read_keys(GROQ, {variable: "your-groq-key-here"}).warnings == ()


@pytest.mark.parametrize("variable", ["GROQ_API_KEY_FILE", "MY_GROQ_API_KEY", "PATH"])
def test_any_other_variable_is_no_business_of_the_vendor(variable: str) -> None:
    assert read_keys(GROQ, {variable: "gsk_aaaa"}).warnings == ()
    assert not holds_key(GROQ.key_env, variable)


def test_the_variable_of_a_slot_is_its_first_name_and_number() -> None:
    assert [variable_of(GEMINI, slot) for slot in (1, 2)] == ["GEMINI_API_KEY", "GEMINI_API_KEY_2"]


def test_a_template_value_fills_no_slot() -> None:
    assert revealed(GROQ, GROQ_API_KEY="your-groq-key-here", GROQ_API_KEY_2="gsk_bbbb") == {2: "gsk_bbbb"}


@pytest.mark.parametrize("name", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
def test_either_name_of_a_key_works(name: str) -> None:
    assert revealed(GEMINI, **{name: "AIzaSyOne0"}) == {1: "AIzaSyOne0"}


def test_the_first_of_two_different_names_wins_with_a_warning_naming_both() -> None:
    keys = read_keys(GEMINI, {"GOOGLE_API_KEY": "AIzaSyTwo0", "GEMINI_API_KEY": "AIzaSyOne0"})
    assert keys.slots[1].key.reveal() == "AIzaSyOne0"
    assert keys.warnings == ("GEMINI_API_KEY and GOOGLE_API_KEY differ: GEMINI_API_KEY is used for slot 1",)


def test_two_names_with_one_value_are_no_cause_for_a_warning() -> None:
    assert read_keys(GEMINI, {"GOOGLE_API_KEY": "AIzaSyOne0", "GEMINI_API_KEY": "AIzaSyOne0"}).warnings == ()


def test_a_template_under_the_first_name_leaves_the_second_name_its_slot() -> None:
    assert revealed(GEMINI, GEMINI_API_KEY="your-gemini-key-here", GOOGLE_API_KEY="AIzaSyTwo0") == {1: "AIzaSyTwo0"}


def test_a_vendor_without_keys_has_one_slot() -> None:
    assert list(read_keys(OLLAMA, {}).slots) == [1]


def test_no_variables_means_no_slots() -> None:
    assert revealed(GROQ, PATH="/bin") == {}


def test_keys_do_not_show_in_what_is_printed() -> None:
    assert "gsk_aaaa" not in repr(read_keys(GROQ, {"GROQ_API_KEY": "gsk_aaaa"}))
