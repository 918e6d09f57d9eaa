"""Whatever is wrong with a vendor's key, credit or life: the list says what and why, and routing goes round it."""

import datetime as dt
import re
from collections.abc import Iterator

import pytest
from fixtures.customer import Customer
from fixtures.keyed_mesh import changed_catalogue, key_of, keyed_mesh
from fixtures.observation import wait_until
from fixtures.promised_meshes import free
from llmmesh.router.v1 import router_pb2

from catalog.loader import load_catalog
from catalog.model import Vendor
from llm_mesh.made_up_keys import made_up_key

VENDORS = load_catalog().vendors
TODAY = dt.datetime.now(dt.UTC).date()
KEYED = [vendor for vendor in VENDORS.values() if vendor.key_env and not vendor.retired_by(TODAY)]
LAST = {"default_tier": "premium", "candidates": {"premium": ["ollama/mistral:7b"]}}
ENDED = dt.date(2026, 7, 30)


def model_of(vendor: Vendor) -> str:
    """Name a model of a vendor that answers under its default plan."""
    plan = vendor.plans[vendor.default_plan]
    found = (m.id for m in vendor.models.values() if m.status == "active" and m.model_class != "embedding")
    return f"{vendor.id}/{next(model for model in found if plan.covers(model))}"


def preferring(customer: Customer, vendor: Vendor) -> router_pb2.Route:
    """Ask for an answer of a vendor, of the local server if that cannot be."""
    return customer.generate(use_case="last", preferred_model=model_of(vendor)).route


def calls(customer: Customer, vendor: Vendor) -> int:
    return sum(heard.vendor == vendor.id for heard in customer.tap.chats)


@pytest.fixture(scope="module")
def unusable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Customer]:
    """Use a mesh in which openai has no key, gemini a malformed one, and groq has ended."""
    directory = tmp_path_factory.mktemp("unusable")
    keys = {"GEMINI_API_KEY": key_of("openai", "mal1"), "GROQ_API_KEY": key_of("groq", "end1")}
    environment = {"MESH_CATALOG": str(changed_catalogue(directory, "groq", retired_on=ENDED))}
    if "azure" in VENDORS:
        keys["AZURE_OPENAI_API_KEY"] = key_of("azure", "")
        environment["MESH_AZURE_ENDPOINT"] = ""
    config = {"use_cases": {"last": LAST, "chain": free("groq/openai/gpt-oss-20b", "ollama/mistral:7b")}}
    with keyed_mesh(directory, config=config, keys=keys, environment=environment) as customer:
        yield customer


UNUSABLE = [
    ("openai", "inactive", "not_configured", "missing", "no API key for openai"),
    (
        "gemini",
        "inactive",
        "key_malformed",
        "malformed",
        "the key of gemini is malformed: GEMINI_API_KEY does not look",
    ),
    ("groq", "retired", "retired", "retired", "ended on 2026-07-30"),
    ("azure", "inactive", "no_endpoint", "no_endpoint", "azure has no endpoint: set AZURE_OPENAI_ENDPOINT"),
]


@pytest.mark.product("P-VENDOR-18", "P-VENDOR-21")
@pytest.mark.parametrize(("name", "status", "code", "state", "reason"), UNUSABLE)
def test_a_vendor_that_cannot_be_used_is_listed_with_the_reason_never_called_and_gone_round(
    unusable, name, status, code, state, reason
):
    if name not in VENDORS:
        pytest.skip(f"no row of {name}")
    unusable.tap.forget()
    told = unusable.vendors()[name]
    assert (told.status, told.reason_code, told.usable_slots) == (status, code, 0)
    assert told.reason.startswith(reason)
    assert [slot.state for slot in told.slots] == [state]
    route = preferring(unusable, VENDORS[name])
    assert (route.vendor, route.fallback_used, len(route.attempts)) == ("ollama", True, 1)
    assert route.primary_error.startswith(reason if status != "retired" else "groq ended on 2026-07-30")
    refused = unusable.refused(model=model_of(VENDORS[name]), strict=True)
    assert refused.message == route.primary_error
    line = next(line for line in unusable.command("vendors").stdout.splitlines() if line.startswith(f"{name} "))
    assert re.search(rf" {status} ", line)
    # Not even its list of models was asked for.
    assert [heard for heard in unusable.tap.ever if heard.vendor == name] == []


def test_an_ended_vendor_is_listed_with_the_date_and_its_models_as_ended(unusable):
    assert unusable.vendors()["groq"].retired_on == "2026-07-30"
    listed = unusable.http.get("/models", params={"all": "true", "vendor": "groq"}).json()["data"]
    assert {(model["status"], model["usable"]) for model in listed} == {("retired", False)}
    route = unusable.generate(use_case="chain").route
    assert (route.vendor, route.primary_error) == ("ollama", "groq ended on 2026-07-30")


@pytest.fixture(scope="module")
def _keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Customer]:
    keys = {vendor.key_env[0]: made_up_key(vendor.key_format) for vendor in KEYED}
    config = {"use_cases": {"last": LAST}}
    with keyed_mesh(tmp_path_factory.mktemp("keyed"), config=config, keys=keys) as customer:
        simulated = customer.tap.control("GET", "vendors")
        yield customer if simulated else customer


def simulated(customer: Customer) -> list[Vendor]:
    """Return the vendors with keys that the simulator plays."""
    played = customer.tap.control("GET", "vendors")
    return [vendor for vendor in KEYED if vendor.id in played]


def renewed(customer: Customer) -> None:
    """Start the provider services anew, as whoever puts other keys into .env does, and wait until the router knows."""
    before = customer.vendors()["ollama"].described_at.ToNanoseconds()
    restarts = customer.mesh.kill("providers")
    wait_until(lambda: customer.mesh.restarts("providers") > restarts, 60, "the provider services")

    def heard_of() -> bool:
        told = customer.vendors()["ollama"]
        return told.status == "active" and told.described_at.ToNanoseconds() > before

    wait_until(heard_of, 20, "the router")
    wait_until(lambda: all(v.status == "active" for v in map(customer.vendors().get, ids(customer))), 20, "the keys")


def ids(customer: Customer) -> list[str]:
    return [vendor.id for vendor in simulated(customer)]


CLOSED = [
    ("rejected", "rejected", "key_rejected", "rejected", "{} rejected the key; it is tried again at ", "the vendor"),
    ("out_of_credit", "inactive", "quota", "exhausted", "out of credit or quota, says {}; it is asked again at ", ""),
]


@pytest.mark.parametrize(("standing", "status", "code", "state", "reason", "primary"), CLOSED)
def test_a_vendor_that_rejects_or_wants_money_is_listed_so_gone_round_and_used_again_after_a_restart(
    _keyed, standing, status, code, state, reason, primary
):
    customer = _keyed
    customer.tap.forget()
    for vendor in simulated(customer):
        customer.tap.standing(vendor.id, **{standing: ["*"]})
        first, second = preferring(customer, vendor), preferring(customer, vendor)
        for route in (first, second):
            assert (route.vendor, route.fallback_used) == ("ollama", True), vendor.id
        assert [attempt.outcome for attempt in first.attempts] == ["failed", "served"], vendor.id
        assert [attempt.outcome for attempt in second.attempts] == ["served"], vendor.id
        assert first.primary_error.startswith(f"VENDOR_{'AUTH' if primary else 'QUOTA'}: "), vendor.id
        subject = (
            f"the vendor rejected the key of {vendor.id}#1" if primary else f"{vendor.id}/default is out of credit"
        )
        assert second.primary_error.startswith(subject), vendor.id
        assert calls(customer, vendor) == 1, vendor.id
        told = customer.vendors()[vendor.id]
        assert (told.status, told.reason_code, told.usable_slots) == (status, code, 0), vendor.id
        assert told.reason.startswith(reason.format(vendor.id))
        assert [(slot.state, slot.HasField("until")) for slot in told.slots] == [(state, True)]
        assert list(told.quotas) == []  # nothing is left of what cannot be used
    customer.tap.forget()
    renewed(customer)
    for vendor in simulated(customer):
        assert preferring(customer, vendor).vendor == vendor.id


def test_an_explained_route_says_why_a_rejected_key_has_no_room(_keyed):
    vendor = simulated(_keyed)[0]
    _keyed.tap.forget()
    _keyed.tap.standing(vendor.id, rejected=["*"])
    preferring(_keyed, vendor)
    offer = _keyed.explain(use_case="last", preferred_model=model_of(vendor)).offers[0]
    assert (offer.has_room, offer.why_no_room) == (False, f"the vendor rejected the key of {vendor.id}#1")
    printed = _keyed.command("explain", "--use-case", "last", "--model", model_of(vendor)).stdout
    assert f"no: the vendor rejected the key of {vendor.id}#1" in printed
    _keyed.tap.forget()
    renewed(_keyed)
