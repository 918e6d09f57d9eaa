"""Whatever is wrong with a vendor's key, credit or life: the list says what and why, and routing goes round it."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fixtures.customer import Customer
from fixtures.keyed_mesh import changed_catalogue, key_of, keyed_mesh
from fixtures.observation import wait_until
from fixtures.promised_meshes import free
from fixtures.shipped import shipped
from llmmesh.router.v1 import router_pb2

from catalog.model import Vendor
from llm_mesh.made_up_keys import made_up_key

VENDORS = shipped().vendors
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
        keys["AZURE_OPENAI_API_KEY"] = made_up_key(VENDORS["azure"].key_format)
        environment["MESH_AZURE_ENDPOINT"] = ""
    config = {"use_cases": {"last": LAST, "chain": free("groq/openai/gpt-oss-20b", "ollama/mistral:7b")}}
    with keyed_mesh(directory, config=config, keys=keys, environment=environment) as customer:
        yield customer


@dataclass(frozen=True)
class Expected:
    """What is said of a vendor: its status, the reason in one word and how it begins for people, its slot's state."""

    status: str
    code: str
    reason: str
    state: str


NO_KEY = Expected("inactive", "not_configured", "no API key for openai", "missing")
NO_FORM = "the key of gemini is malformed: GEMINI_API_KEY does not look like a key of Google Gemini; allowed: AIza"
NOWHERE = "azure has no endpoint: set AZURE_OPENAI_ENDPOINT"
UNUSABLE = [
    ("openai", NO_KEY),
    ("gemini", Expected("inactive", "key_malformed", NO_FORM, "malformed")),
    ("groq", Expected("retired", "retired", "ended on 2026-07-30", "retired")),
    pytest.param(
        "azure",
        Expected("inactive", "no_endpoint", NOWHERE, "no_endpoint"),
        marks=pytest.mark.product("P-VENDOR-18"),
    ),
]


@pytest.mark.parametrize(("name", "expected"), UNUSABLE)
def test_a_vendor_that_cannot_be_used_is_listed_with_the_reason_never_called_and_gone_round(unusable, name, expected):
    unusable.tap.forget()
    told = unusable.vendors()[name]
    assert (told.status, told.reason_code, told.usable_slots) == (expected.status, expected.code, 0)
    assert told.reason.startswith(expected.reason)
    assert [slot.state for slot in told.slots] == [expected.state]
    route = preferring(unusable, VENDORS[name])
    assert (route.vendor, route.fallback_used, len(route.attempts)) == ("ollama", True, 1)
    assert expected.reason in route.primary_error
    assert unusable.refused(model=model_of(VENDORS[name]), strict=True).message == route.primary_error
    line = next(line for line in unusable.command("vendors").stdout.splitlines() if line.startswith(f"{name} "))
    assert f" {expected.status} " in line
    # Not even its list of models was asked for.
    assert [heard for heard in unusable.tap.ever if heard.vendor == name] == []


def test_an_ended_vendor_is_listed_with_the_date_and_its_models_as_ended(unusable):
    assert unusable.vendors()["groq"].retired_on == "2026-07-30"
    listed = unusable.http.get("/models", params={"all": "true", "vendor": "groq"}).json()["data"]
    assert {(model["status"], model["usable"]) for model in listed} == {("retired", False)}
    route = unusable.generate(use_case="chain").route
    assert (route.vendor, route.primary_error) == ("ollama", "groq ended on 2026-07-30")


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Customer]:
    """Use a mesh with a key of every vendor that wants one, and without limits of our own."""
    keys = {vendor.key_env[0]: made_up_key(vendor.key_format) for vendor in KEYED}
    unlimited = {vendor.id: {"limits": {vendor.default_plan: []}} for vendor in KEYED}
    config = {"use_cases": {"last": LAST}, "vendors": unlimited}
    with keyed_mesh(tmp_path_factory.mktemp("keyed"), config=config, keys=keys) as customer:
        yield customer
        customer.tap.forget()


def played(customer: Customer) -> list[Vendor]:
    """Return the vendors with keys that the simulator plays."""
    known = customer.tap.control("GET", "vendors")
    return [vendor for vendor in KEYED if vendor.id in known]


def renew(customer: Customer) -> None:
    """Start the provider services anew, as whoever changes keys does, and wait until the router has asked them."""
    restarts = customer.mesh.kill("providers")
    wait_until(lambda: customer.mesh.restarts("providers") > restarts, 60, "the provider services")
    names = {vendor.id for vendor in played(customer)} | {"ollama"}

    def all_active() -> bool:
        told = customer.vendors()
        return {told[name].status for name in names} == {"active"}

    wait_until(all_active, 20, "the router")


REJECTED = Expected("rejected", "key_rejected", "{} rejected the key; it is tried again at ", "rejected")
SPENT = Expected("inactive", "quota", "out of credit or quota, says {}; it is asked again at ", "exhausted")
CLOSED = [
    ({"rejected": ["*"]}, REJECTED, "VENDOR_AUTH: ", "the vendor rejected the key of {}#1"),
    ({"out_of_credit": ["*"]}, SPENT, "VENDOR_QUOTA: ", "{}/default is out of credit or quota, says the vendor"),
]


@pytest.mark.parametrize(("standing", "expected", "fault", "denial"), CLOSED, ids=["rejected", "out_of_credit"])
def test_a_vendor_that_refuses_the_key_or_wants_money_is_listed_so_gone_round_and_used_again_after_a_restart(
    keyed, standing, expected, fault, denial
):
    keyed.tap.forget()
    for vendor in played(keyed):
        keyed.tap.standing(vendor.id, **standing)
        first, second = preferring(keyed, vendor), preferring(keyed, vendor)
        for route, tried in ((first, ["failed", "served"]), (second, ["served"])):
            assert (route.vendor, route.fallback_used) == ("ollama", True), vendor.id
            assert [attempt.outcome for attempt in route.attempts] == tried, vendor.id
        assert first.primary_error.startswith(fault), vendor.id
        assert second.primary_error == denial.format(vendor.id)
        assert calls(keyed, vendor) == 1, vendor.id
        told = keyed.vendors()[vendor.id]
        assert (told.status, told.reason_code, told.usable_slots) == (expected.status, expected.code, 0), vendor.id
        assert told.reason.startswith(expected.reason.format(vendor.id))
        assert [(slot.state, slot.HasField("until")) for slot in told.slots] == [(expected.state, True)]
    keyed.tap.forget()
    renew(keyed)
    for vendor in played(keyed):
        assert preferring(keyed, vendor).vendor == vendor.id


def test_an_explained_route_says_why_a_rejected_key_has_no_room(keyed):
    keyed.tap.forget()
    vendor = played(keyed)[0]
    keyed.tap.standing(vendor.id, rejected=["*"])
    preferring(keyed, vendor)
    offer = keyed.explain(use_case="last", preferred_model=model_of(vendor)).offers[0]
    why = f"the vendor rejected the key of {vendor.id}#1"
    assert (offer.has_room, offer.why_no_room) == (False, why)
    assert f"no: {why}, again in" in keyed.command("explain", "--model", model_of(vendor)).stdout
    error = keyed.refused(model=model_of(vendor))
    assert (error.reason.value, error.message) == ("VENDOR_AUTH", why)
    keyed.tap.forget()
    assert keyed.command("vendors", "check", vendor.id).returncode == 0
    assert preferring(keyed, vendor).vendor == vendor.id


def test_a_key_is_used_again_once_a_check_finds_it_accepted_and_no_longer_once_one_finds_it_rejected(keyed):
    keyed.tap.forget()
    vendor = played(keyed)[-1]
    keyed.tap.standing(vendor.id, rejected=["*"])
    checked = keyed.command("vendors", "check", vendor.id)
    assert checked.returncode == 1
    assert "VENDOR_AUTH" in checked.stdout
    assert keyed.vendors()[vendor.id].status == "rejected"
    route = preferring(keyed, vendor)
    assert (route.vendor, len(route.attempts), calls(keyed, vendor)) == ("ollama", 1, 0)
    keyed.tap.forget()
    assert keyed.command("vendors", "check", vendor.id).returncode == 0
    assert keyed.vendors()[vendor.id].status == "active"
    assert preferring(keyed, vendor).vendor == vendor.id
