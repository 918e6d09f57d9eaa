"""Who is let in: by which keys, and until when."""

import datetime as dt
import time

import pytest
from fixtures.clock import ManualClock
from fixtures.quota import NOON
from fixtures.shipped import shipped

from catalog import admission
from catalog.admission import Admitted, read_admitted
from catalog.tenants import Tenant
from meshkit.api_key import ApiKey, keyed_hash, mint
from meshkit.errors import MeshError, Reason
from meshkit.identity import LOCAL, Caller
from meshkit.secret import Secret
from meshkit.yaml_file import ConfigError
from router_service.doorkeeper import Doorkeeper

PEPPER = Secret("pepper of the tests, long enough")
CATALOG = shipped()


def row(key: ApiKey, tenant: str = "alice", more: str = "") -> str:
    return f'  - {{id: "{key.id}", tenant: {tenant}, hash: "{keyed_hash(key, PEPPER)}"{more}}}\n'


class Door:
    """A tenants file on the disk and the doorkeeper that reads it."""

    def __init__(self, directory) -> None:
        self.path = directory / "tenants.yaml"
        self.clock = ManualClock(NOON / 1_000)
        self.written = 0

    def write(self, *rows: str) -> None:
        keys = f"keys:\n{''.join(rows)}" if rows else ""
        self.text(f"tenants:\n  alice: {{models: [groq/*]}}\n  bob: {{}}\n{keys}")

    def text(self, text: str) -> None:
        self.written += 1  # a comment, so that no two contents have one length: clocks of disks are coarse
        self.path.write_text(text + "#" * self.written, encoding="utf-8")

    def open(self, bootstrap: Secret | None = None) -> Doorkeeper:
        return Doorkeeper(self.admitted(), self.clock, bootstrap)

    def admitted(self) -> Admitted:
        return read_admitted(self.path, CATALOG, {"MESH_KEY_PEPPER": PEPPER.reveal()})


@pytest.fixture
def door(tmp_path) -> Door:
    return Door(tmp_path)


def bearer(key: ApiKey | str) -> dict[str, str]:
    return {"authorization": f"Bearer {key if isinstance(key, str) else key.text().reveal()}"}


def refused(keeper: Doorkeeper, credentials: dict[str, str]) -> MeshError:
    with pytest.raises(MeshError) as caught:
        keeper.authenticate(credentials)
    return caught.value


def test_a_key_lets_in_as_its_tenant(door):
    ann, bob = mint(), mint()
    door.write(row(ann), row(bob, "bob", ", scopes: [caller, operator]"))
    keeper = door.open()
    assert keeper.authenticate(bearer(ann)) == Caller("alice")
    assert keeper.authenticate({"x-api-key": bob.text().reveal()}) == Caller("bob", operator=True)
    assert keeper.tenant("alice").models == ("groq/*",)
    assert keeper.tenant("local") == Tenant("local")


def test_every_other_key_is_refused_in_the_same_words(door):
    known, ended = mint(), mint()
    door.write(row(known), row(ended, more=", expires: 2020-01-01"))
    keeper = door.open()
    wrong_secret = f"mesh_{known.id}_{'0' * 48}"
    told = [
        refused(keeper, credentials)
        for credentials in (
            {},
            bearer(""),
            bearer("sk-x"),
            bearer(mint()),
            bearer(wrong_secret),
            bearer(ended),
            bearer("\ud83d"),
        )
    ]
    assert {(error.reason, error.message, tuple(error.metadata)) for error in told} == {
        (Reason.UNAUTHENTICATED, "the caller's key is missing or wrong", ())
    }


def test_every_other_key_takes_the_same_path_and_about_the_same_time(door, monkeypatch):
    """One hash and one comparison, whatever is offered; otherwise time would tell which ids there are."""
    known, ended, revoked = mint(), mint(), mint()
    door.write(row(known), row(ended, more=", expires: 2020-01-01"))
    keeper = door.open()
    offers = {
        "wrong secret": bearer(f"mesh_{known.id}_{'0' * 48}"),
        "ended": bearer(ended),
        "revoked": bearer(revoked),
        "unknown id": bearer(f"mesh_{'0' * 12}_{'0' * 48}"),
        "no key": bearer("sk-x"),
        "nothing": {},
    }

    def seconds(credentials: dict[str, str]) -> float:
        began = time.process_time()
        for _ in range(500):
            refused(keeper, credentials)
        return time.process_time() - began

    best = {name: min(seconds(credentials) for _ in range(5)) for name, credentials in offers.items()}
    assert max(best.values()) < 5 * min(best.values()), best
    steps: list[str] = []
    for name in ("keyed_hash", "is_key"):
        real = getattr(admission, name)
        monkeypatch.setattr(admission, name, lambda *given, name=name, real=real: steps.append(name) or real(*given))
    for credentials in offers.values():
        steps.clear()
        refused(keeper, credentials)
        assert steps == ["keyed_hash", "is_key"]


def test_a_key_ends_when_its_time_has_come(door):
    key = mint()
    ends = dt.datetime.fromtimestamp(NOON / 1_000 + 10, dt.UTC)
    door.write(row(key, more=f", expires: {ends.isoformat()}"))
    keeper = door.open()
    assert keeper.authenticate(bearer(key)) == Caller("alice")
    door.clock.advance(10)
    refused(keeper, bearer(key))


def test_the_bootstrap_key_is_let_in_beside_all_others(door):
    key = mint()
    door.write(row(key))
    keeper = door.open(Secret("bootstrap"))
    assert keeper.authenticate(bearer("bootstrap")) == LOCAL
    assert keeper.authenticate(bearer(key)) == Caller("alice")
    refused(keeper, bearer("bootstra"))


def test_whoever_is_admitted_anew_is_let_in_and_nobody_else(door):
    old, new = mint(), mint()
    door.write(row(old))
    keeper = door.open()
    door.write(row(new))
    assert keeper.authenticate(bearer(old))
    keeper.take(door.admitted())
    refused(keeper, bearer(old))
    assert keeper.authenticate(bearer(new)) == Caller("alice")


def test_a_broken_file_at_the_start_is_the_operators_to_mend(door):
    door.text("tenants: [")
    with pytest.raises(ConfigError):
        door.open()


def test_no_key_no_hash_and_no_pepper_is_told_of_a_mistake(door):
    key = mint()
    door.text(f'tenants: {{}}\nkeys:\n  - {{id: "{key.id}", tenant: eve, hash: "{keyed_hash(key, PEPPER)}"}}\n')
    with pytest.raises(ConfigError) as caught:
        door.open()
    told = str(caught.value)
    assert keyed_hash(key, PEPPER) not in told
    assert PEPPER.reveal() not in told
