"""A caller's key: made, read, and known again by its keyed hash alone."""

import pytest

from meshkit.api_key import keyed_hash, mint, parse, presented
from meshkit.secret import Secret

PEPPER = Secret("pepper of the tests, long enough")


def test_a_key_that_was_made_can_be_read_again():
    key = mint()
    again = parse(key.text().reveal())
    assert again is not None
    assert (again.id, again.secret.reveal()) == (key.id, key.secret.reveal())


def test_no_two_keys_are_alike():
    assert len({mint().text().reveal() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mesh_",
        "sk-123",
        "mesh_0123456789ab",
        "mesh_0123456789ab_" + "0" * 47,
        "mesh_0123456789AB_" + "0" * 48,
        "mesh_0123456789ab_" + "0" * 48 + "\n",
        " mesh_0123456789ab_" + "0" * 48,
        "mesh_" * 100_000,
        "mesh_é_ü",
    ],
)
def test_what_has_another_form_is_no_key(text):
    assert parse(text) is None


def test_the_hash_depends_on_all_of_the_key_and_on_the_pepper():
    key = mint()
    other_id, other_secret = parse(f"mesh_{'0' * 12}_{key.secret.reveal()}"), parse(f"mesh_{key.id}_{'0' * 48}")
    hashes = {keyed_hash(each, PEPPER) for each in (key, other_id, other_secret)}
    assert len(hashes | {keyed_hash(key, Secret("another pepper, as long"))}) == 4
    assert keyed_hash(key, PEPPER) == keyed_hash(parse(key.text().reveal()), PEPPER)


def test_a_key_is_printed_nowhere():
    key = mint()
    assert key.secret.reveal() not in repr(key) + repr(key.text())


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        ({}, ""),
        ({"authorization": "Bearer abc"}, "abc"),
        ({"authorization": "bearer abc", "x-api-key": "no"}, "abc"),
        ({"authorization": "Basic abc", "x-api-key": "def"}, "def"),
        ({"x-api-key": "def"}, "def"),
    ],
)
def test_a_credential_comes_as_a_bearer_or_as_an_api_key(credentials, expected):
    assert presented(credentials) == expected
