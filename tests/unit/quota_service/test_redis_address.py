"""Where the store is, out of its URL."""

import pytest

from meshkit.secret import Secret
from quota_service.stores.redis.address import watched


def test_sentinels_are_found_with_what_they_call_the_primary():
    found = watched(Secret("sentinel://one:26380,two,[::1]:7/ledger"))
    assert found is not None
    assert found.sentinels == (("one", 26380), ("two", 26379), ("::1", 7))
    assert (found.name, found.server, found.sentinel) == ("ledger", {"db": 0}, {})


def test_servers_and_sentinels_have_passwords_of_their_own():
    found = watched(Secret("sentinels://me:p%40ss@one/ledger/3?sentinel_password=theirs&ssl_ca_certs=/ca.pem"))
    assert found is not None
    safe = {"ssl": True, "ssl_ca_certs": "/ca.pem"}
    assert found.server == {**safe, "username": "me", "password": "p@ss", "db": 3}
    assert found.sentinel == {**safe, "password": "theirs"}
    assert watched(Secret("sentinel://:only@one/ledger")).server == {"password": "only", "db": 0}


@pytest.mark.parametrize("url", ["redis://store", "rediss://:p@store/1", "unix:///socket"])
def test_other_urls_are_of_one_server(url):
    assert watched(Secret(url)) is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sentinel://one:26379", "it must name Sentinels and the primary: host:port,host:port/name"),
        ("sentinel:///ledger", "it must name Sentinels and the primary"),
        ("sentinel://:hunter2@one:port/ledger", "a port of a Sentinel is not a number"),
        ("sentinel://:hunter2@one/ledger/x", "the number of a database"),
    ],
)
def test_what_is_missing_is_said_without_the_password(url, said):
    with pytest.raises(ValueError, match=said) as caught:
        watched(Secret(url))
    assert "hunter2" not in str(caught.value)
