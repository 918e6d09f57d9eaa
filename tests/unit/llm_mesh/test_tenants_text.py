"""Keys in the text of a tenants file: put in, ended, taken out; every other line stays as a person wrote it."""

import pytest
import yaml

from llm_mesh.tenants_text import NEW, UneditableError, with_expiry, with_key, without_key

BY_HAND = """\
# ours
keys:   # the oldest first
  - id: "000000000001"   # of the night jobs
    tenant: alice
    hash: "aa"
    expires: null

  # bob's
  - {id: "000000000002", tenant: bob, hash: "bb"}
tenants:
    alice:
        models: [groq/*]   # cheap ones
    bob: {}
"""


def key(key_id: str, tenant: str = "alice", expires: str | None = None) -> dict:
    return {"id": key_id, "tenant": tenant, "hash": "cc", "scopes": ["caller"], "expires": expires, "note": 'a "b": #c'}


def read(text: str) -> dict:
    return yaml.safe_load(text)


def ids(text: str) -> list[str]:
    return [row["id"] for row in read(text)["keys"] or []]


@pytest.mark.parametrize("text", ["", NEW, "tenants:\nkeys:\n", "keys: []\ntenants: {}", "# nothing\n"])
def test_the_first_key_goes_into_any_file_that_has_none(text):
    edited = with_key(text, key("123456789012", expires="2027-01-01T00:00:00Z"))
    (row,) = read(edited)["keys"]
    assert (row["id"], row["note"], row["scopes"]) == ("123456789012", 'a "b": #c', ["caller"])
    assert row["expires"].year == 2027
    assert read(edited)["tenants"] == {"alice": {}}
    assert all(line in edited for line in text.splitlines() if line.startswith("#"))


def test_a_key_is_added_behind_the_others_and_its_tenant_before_them():
    edited = with_key(BY_HAND, key("000000000003", "carol"))
    assert ids(edited) == ["000000000001", "000000000002", "000000000003"]
    assert list(read(edited)["tenants"]) == ["carol", "alice", "bob"]
    assert [line for line in BY_HAND.splitlines() if line not in edited.splitlines()] == []


def test_a_tenant_that_is_there_is_not_added():
    assert with_key(BY_HAND, key("000000000003")).count("alice:") == 1


@pytest.mark.parametrize("key_id", ["000000000001", "000000000002"])
def test_a_key_is_taken_out_and_all_else_stays(key_id):
    edited = without_key(BY_HAND, key_id)
    assert ids(edited) == [known for known in ids(BY_HAND) if known != key_id]
    assert read(edited)["tenants"] == read(BY_HAND)["tenants"]
    assert "# cheap ones" in edited


def test_after_the_last_key_is_gone_another_may_come():
    edited = without_key(without_key(BY_HAND, "000000000002"), "000000000001")
    assert ids(edited) == []
    assert ids(with_key(edited, key("000000000003"))) == ["000000000003"]


@pytest.mark.parametrize("key_id", ["000000000001", "000000000002"])
def test_a_key_is_given_an_end(key_id):
    edited = with_expiry(BY_HAND, key_id, "2027-01-01T00:00:00Z")
    rows = {row["id"]: row for row in read(edited)["keys"]}
    assert rows[key_id]["expires"].year == 2027
    assert rows[key_id]["tenant"] == {row["id"]: row for row in read(BY_HAND)["keys"]}[key_id]["tenant"]
    assert len(rows) == 2
    assert "# cheap ones" in edited


def test_what_cannot_be_edited_says_what_to_do():
    with pytest.raises(UneditableError, match="no key 000000000009"):
        without_key(BY_HAND, "000000000009")
    one_line = 'tenants: {alice: {}}\nkeys: [{id: "000000000001", tenant: alice, hash: "aa"}]\n'
    with pytest.raises(UneditableError, match="written in one line"):
        with_key(one_line, key("000000000002"))
    with pytest.raises(UneditableError, match=r"write `bob: \{\}` into it"):
        with_key("tenants: {alice: {}}\nkeys: []\n", key("000000000002", "bob"))
