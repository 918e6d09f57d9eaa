"""Three routers over one ledger: callers and keys take turns, quotas are exact, one probe in the whole mesh."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import grpc
import pytest
from fixtures.customer import Customer
from fixtures.keyed_mesh import key_of, keyed_mesh
from fixtures.observation import wait_until
from fixtures.promised_meshes import free, limit
from fixtures.replicas import Replica, replicas
from llmmesh.router.v1 import router_pb2_grpc

from meshkit.channel import ROUND_ROBIN

pytestmark = pytest.mark.timeout(300)

LIMIT, ASKED = 20, 60
LOCAL = "ollama/mistral:7b"
CONFIG: dict[str, Any] = {
    "vendors": {
        "groq": {
            "slots": {"2": {"account": "second"}},
            "limits": {"free": [limit("requests", LIMIT, "qwen/qwen3.8-27b")]},
        },
        "gemini": {"limits": {"free": []}},
        "cohere": {"limits": {"free": []}},
    },
    "use_cases": {
        "limited": free("groq/qwen/qwen3.8-27b", LOCAL),
        "probed": free("gemini/gemini-flash-latest", LOCAL),
        "warm": free(LOCAL),
        "paused": free("cohere/command-a-03-2025", LOCAL),
    },
    # What a probe waits for is told by the test alone.
    "timeouts": {"first_token": {"chat": 30, "reasoning": 30, "local": 30}},
}


@dataclass(frozen=True)
class Replicated:
    """A mesh of three routers; `all` is who calls them by one name, `each` who calls one of them."""

    routers: list[Replica]
    all: Customer
    each: list[Customer]


@dataclass(frozen=True)
class Guest(Customer):
    """A customer who knows routers by a name of their own: one of them, or all as behind a headless Service."""

    target: str = ""

    @cached_property
    def router(self) -> router_pb2_grpc.RouterServiceStub:
        channel = grpc.insecure_channel(self.target, options=[("grpc.service_config", ROUND_ROBIN)])
        return router_pb2_grpc.RouterServiceStub(channel)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    keys = {"GROQ_API_KEY": key_of("groq", "grq1"), "GROQ_API_KEY_2": key_of("groq", "grq2")}
    keys |= {"GEMINI_API_KEY": key_of("gemini", "gem1"), "COHERE_API_KEY": key_of("cohere", "coh1")}
    directory = tmp_path_factory.mktemp("replicas")
    with keyed_mesh(directory, config=CONFIG, keys=keys) as customer, replicas(customer.mesh, 3) as routers:
        each = [Guest(customer.mesh, customer.tap, target=router.router) for router in routers]
        addresses = "ipv4:" + ",".join(router.router for router in routers)
        yield Replicated(routers, Guest(customer.mesh, customer.tap, target=addresses), each)


@pytest.mark.product("P-OPS-24")
def test_callers_are_spread_over_replicas_keys_take_turns_and_quotas_are_exact(mesh: Replicated) -> None:
    def warm() -> bool:
        mesh.all.generate(use_case="warm")
        return all(served(mesh, "warm"))

    wait_until(warm, 30, "the channel to have found every router")
    with ThreadPoolExecutor(16) as pool:
        routes = list(pool.map(lambda _: mesh.all.generate(use_case="limited").route, range(ASKED)))
    assert Counter(route.vendor for route in routes) == {"groq": 2 * LIMIT, "ollama": ASKED - 2 * LIMIT}
    heard = Counter(call.headers["authorization"][-4:] for call in mesh.all.tap.chats if call.vendor == "groq")
    assert heard == {"grq1": LIMIT, "grq2": LIMIT}
    shares = served(mesh, "limited")
    assert sum(shares) == ASKED
    assert min(shares) >= ASKED / 6, shares
    wait_until(lambda: mesh.all.budgets().open_holds == 0, 20, "every hold to be settled")
    counted = {budget.id: budget for budget in mesh.all.budgets().budgets if "/qwen/qwen3.8-27b/requests" in budget.id}
    found = [(budget.used, budget.limit) for name, budget in counted.items() if name.startswith("groq/")]
    assert found == [(LIMIT, LIMIT)] * 2


def test_a_pause_one_router_is_asked_for_is_kept_by_all_within_a_second(mesh: Replicated) -> None:
    mesh.all.tap.forget()
    mesh.all.tap.faults("cohere", {"kind": "status", "status": 429, "headers": {"retry-after": "50"}})
    assert mesh.each[0].generate(use_case="paused").route.vendor == "ollama"
    time.sleep(1.0)
    for customer in mesh.each[1:]:
        route = customer.generate(use_case="paused").route
        assert (route.vendor, dict(route.skipped)) == ("ollama", {"cooling": 1})
    assert [call.vendor for call in mesh.all.tap.chats].count("cohere") == 1


def test_an_opened_breaker_is_known_to_all_one_probe_is_out_at_a_time_and_its_success_closes_it_for_all(
    mesh: Replicated,
) -> None:
    tap = mesh.all.tap
    tap.forget()
    tap.faults("gemini", {"kind": "status", "status": 502})
    for _ in range(5):
        mesh.each[0].generate(use_case="probed")
    assert states(mesh)[0] == "open"
    wait_until(lambda: states(mesh) == ["open"] * 3, 10, "the others to hear of it")
    opened = gemini(mesh)
    # A vendor that takes its time: a probe is out for a while, and every router would like to send its own.
    tap.faults("gemini", {"kind": "slow_first_token", "seconds": 2.0})
    ends = time.monotonic() + 60.0

    def ask(number: int) -> None:
        while states(mesh)[number] != "closed":
            assert time.monotonic() < ends
            mesh.each[number].generate(use_case="probed")
            time.sleep(0.05)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(ask, range(3)))
    arrivals = tap.control("GET", "arrivals?vendor=gemini")[opened:]
    assert arrivals
    assert all(later["received_at"] > arrivals[0]["received_at"] + 1.5 for later in arrivals[1:]), arrivals
    tap.faults("gemini")
    wait_until(lambda: {c.generate(use_case="probed").route.vendor for c in mesh.each} == {"gemini"}, 30, "its use")


def test_what_an_operator_forces_at_one_router_holds_in_all_and_ends_with_his_word(mesh: Replicated) -> None:
    mesh.all.tap.forget()
    done = mesh.each[1].command("breaker", "cohere", "open")
    assert done.returncode == 0, done.stderr
    assert "forced_open" in done.stdout
    wait_until(lambda: states(mesh, "cohere") == ["forced_open"] * 3, 10, "all to hear of it")
    explained = mesh.each[2].explain(use_case="paused")
    assert [(e.reason, e.detail) for e in explained.excluded if e.offer.startswith("cohere")] == [
        ("breaker_open", "an operator has forced the breaker of cohere open")
    ]
    assert mesh.each[2].generate(use_case="paused").route.vendor == "ollama"
    assert mesh.each[0].command("breaker", "cohere", "auto").returncode == 0
    wait_until(lambda: "forced_open" not in states(mesh, "cohere"), 10, "all to hear of it")
    assert "cohere" in mesh.each[0].command("breaker").stdout


def states(mesh: Replicated, subject: str = "gemini") -> list[str]:
    """Read the state of a breaker off the metrics of each router."""
    return [router.breaker(subject) for router in mesh.routers]


def served(mesh: Replicated, use_case: str) -> list[float]:
    """Read how many requests each router has served."""
    return [router.metric("mesh_requests_total", use_case=use_case, outcome="served") for router in mesh.routers]


def gemini(mesh: Replicated) -> int:
    """Return how many requests have arrived at the vendor."""
    return int(mesh.all.tap.counts("gemini")["arrivals"])
