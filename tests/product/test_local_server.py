"""The local server's rows: missing at the start, coming, with models of its own, going and coming back."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures import fake_ollama
from fixtures.customer import Customer, spoken
from fixtures.keyed_mesh import key_of, keyed_mesh
from fixtures.observation import wait_until
from fixtures.sandbox_mesh import ROOT
from llmmesh.router.v1 import router_pb2

from meshkit.errors import Reason

NOTICED_WITHIN = 60.0
PULLED = ("llama3.1:8b", "qwen3:4b", "mistral:7b")


class LocalServer:
    """The fake local server at one address, started and ended as a test wants."""

    def __init__(self, directory: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.models = directory / "models"
        self.models.mkdir()
        self._variables = {"PATH": os.environ["PATH"], "HOME": str(directory), "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        variables = self._variables | {"OLLAMA_HOST": self.url, "OLLAMA_MODELS": str(self.models)}
        self._process = subprocess.Popen([sys.executable, fake_ollama.__file__, "serve"], env=variables)

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, free_port: int) -> Iterator[LocalServer]:
    made = LocalServer(tmp_path_factory.mktemp("local"), free_port)
    for model in PULLED:
        fake_ollama.Library(made.models).add(model)
    yield made
    made.end()


@pytest.fixture(scope="module")
def free_port(unused_tcp_port_factory) -> int:
    return unused_tcp_port_factory()


@pytest.fixture(scope="module")
def customer(tmp_path_factory: pytest.TempPathFactory, server: LocalServer) -> Iterator[Customer]:
    """Use a mesh that has groq's key, and a local server that is not there yet."""
    environment = {"MESH_OLLAMA_ENDPOINT": "", "OLLAMA_BASE_URL": server.url}
    directory = tmp_path_factory.mktemp("mesh")
    with keyed_mesh(directory, keys={"GROQ_API_KEY": key_of("groq", "grq1")}, environment=environment) as running:
        yield running


def status(customer: Customer) -> tuple[str, str]:
    """Return status and reason of the local server."""
    vendor = customer.vendors()["ollama"]
    return vendor.status, vendor.reason


def becomes(customer: Customer, wanted: str) -> None:
    """Wait until the local server has a status."""
    wait_until(lambda: status(customer)[0] == wanted, NOTICED_WITHIN, f"ollama to be {wanted}")


# The tests are one life of the server, in the order they stand in.


@pytest.mark.product("P-VENDOR-19", "P-OPS-29")
def test_without_its_local_server_the_mesh_starts_warns_and_serves_with_what_it_has(customer):
    told = {vendor["id"]: (vendor["status"], vendor["reason"]) for vendor in customer.mesh.vendors}
    assert told["ollama"][0] == "inactive"
    assert told["ollama"][1].startswith("ollama is unreachable: 127.0.0.1: connection refused")
    warnings = [line for line in customer.mesh.log("providers").splitlines() if '"warning"' in line]
    assert any("ollama" in line and "connection refused" in line for line in warnings)
    assert customer.http.get("/healthz").status_code == 200
    assert customer.generate(use_case="quick").route.vendor == "groq"
    refused = customer.refused(use_case="private")
    assert (refused.reason, refused.code) == (Reason.NO_OFFER, "UNAVAILABLE")
    assert refused.message.startswith("ollama is unreachable: ")


@pytest.mark.product("P-VENDOR-19", "P-OPS-16")
def test_it_is_active_as_soon_as_it_answers_and_its_own_models_are_listed(customer, server):
    server.start()
    becomes(customer, "active")
    listed = {model["id"]: model for model in customer.http.get("/models?vendor=ollama").json()["data"]}
    assert set(listed) == {f"ollama/{model}" for model in PULLED}
    assert (listed["ollama/qwen3:4b"]["model_class"], listed["ollama/qwen3:4b"]["input_usd_per_1m"]) == ("local", 0)
    everything = {model["id"]: model for model in customer.http.get("/models?vendor=ollama&all=true").json()["data"]}
    assert not everything["ollama/llama2:70b"]["usable"]
    assert customer.command("models", "--vendor", "local").stdout.count("ollama/") == len(PULLED)


@pytest.mark.product("P-OPS-16", "P-MODEL-8")
def test_any_of_its_models_may_be_pinned_whole_and_streamed_for_nothing(customer, catalogue):
    assert any(model not in catalogue.vendors["ollama"].models for model in PULLED)
    for model in PULLED:
        reply = customer.generate("say: at home", model=f"ollama/{model}", tier=router_pb2.TIER_FREE)
        assert (reply.route.vendor, reply.route.model, reply.route.total_cost_nanos) == ("ollama", model, 0)
        assert not reply.completion.usage.unpriced
        assert spoken(customer.stream("say: at home", model=f"local/{model}")) == "at home"
    refused = customer.refused(model="ollama/qwen3:400b")
    assert (refused.reason, refused.metadata["closest"].split(", ")[0]) == (Reason.UNKNOWN_MODEL, "ollama/qwen3:4b")


@pytest.mark.product("P-OPS-16")
def test_what_is_in_the_catalogue_but_not_on_the_server_is_not_tried(customer):
    excluded = {offer.offer: (offer.reason, offer.detail) for offer in customer.explain(use_case="private").excluded}
    why = "the server of ollama does not have llama2:70b"
    assert excluded["ollama/llama2:70b#1"] == ("not_installed", why)
    assert customer.generate(use_case="private").route.model == "llama3.1:8b"


@pytest.mark.product("P-OPS-16")
def test_a_model_that_is_pulled_while_the_mesh_runs_is_there_without_a_restart(customer, server):
    fake_ollama.Library(server.models).add("gemma3:1b")
    names = lambda: {model["id"] for model in customer.http.get("/models?vendor=ollama").json()["data"]}  # noqa: E731
    wait_until(lambda: "ollama/gemma3:1b" in names(), NOTICED_WITHIN, "gemma3 to be listed")
    assert customer.generate(model="ollama/gemma3:1b").route.model == "gemma3:1b"


@pytest.mark.product("P-VENDOR-19", "P-OPS-29")
def test_a_server_that_dies_is_inactive_and_others_go_on_and_it_is_used_again_when_it_is_back(customer, server):
    server.end()
    assert customer.generate(use_case="default").route.vendor == "groq"  # its first choice is the local model
    becomes(customer, "inactive")
    assert "unreachable" in status(customer)[1]
    server.start()
    becomes(customer, "active")
    wait_until(
        lambda: customer.generate(use_case="default").route.vendor == "ollama", NOTICED_WITHIN, "ollama to serve again"
    )
