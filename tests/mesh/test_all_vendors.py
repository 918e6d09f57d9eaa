"""Every promised vendor with a key each: all are active, each answers whole and streamed, vectors where offered."""

import datetime as dt
from collections.abc import Iterator

import pytest
from fixtures.customer import Customer, spoken
from fixtures.keyed_mesh import changed_catalogue, key_of, keyed_mesh
from fixtures.shipped import shipped

from catalog.model import Model, Vendor

VENDORS = shipped().vendors
PLAIN = {"price": {"input": 0, "output": 0}, "context_window": 8000, "source": "a test", "date": dt.date(2026, 7, 1)}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Customer]:
    """Run a mesh with 18 keys and a local server, where nobody knows that one vendor has ended."""
    directory = tmp_path_factory.mktemp("all")
    keys = {vendor.key_env[0]: key_of(vendor.id, "key1") for vendor in VENDORS.values() if vendor.key_env}
    models = {"openai/gpt-4o": {**PLAIN, "model_class": "chat"}}
    environment = {"MESH_CATALOG": str(changed_catalogue(directory, "github", retired_on=None, models=models))}
    config = {"vendors": {"mistral": {"limits": {"free": []}}}}  # else one call a second
    with keyed_mesh(directory, config=config, keys=keys, environment=environment) as customer:
        customer.tap.control("PUT", "vendors/github/standing", {"ended": False})
        yield customer


def usual(vendor: Vendor, *, embeds: bool) -> Model | None:
    """Return the first model that is alive and in the usual plan."""
    plan = vendor.plans[vendor.default_plan]
    models = (model for model in vendor.models.values() if model.status == "active" and model.embeds is embeds)
    return next((model for model in models if plan.covers(model.id)), None)


EMBEDDING = [vendor.id for vendor in VENDORS.values() if usual(vendor, embeds=True)]


def test_all_nineteen_are_active(mesh: Customer) -> None:
    told = mesh.vendors()
    assert {name: vendor.reason for name, vendor in told.items() if vendor.status != "active"} == {}
    assert set(told) == set(VENDORS)
    assert len(told) == 19


@pytest.mark.parametrize("name", sorted(VENDORS))
def test_each_answers_whole_and_streamed(mesh: Customer, name: str) -> None:
    model = usual(VENDORS[name], embeds=False)
    pinned = f"{name}/{model.id if model else 'openai/gpt-4o'}"
    before = len(mesh.tap.chats)
    answer = mesh.generate("say: all is well", model=pinned, strict=True)
    assert (answer.route.vendor, answer.route.fallback_used) == (name, False)
    said = "".join(part.text.text for part in answer.completion.choices[0].parts)
    assert said == "all is well"
    assert answer.completion.usage.output_tokens > 0
    chunks = mesh.stream("say: all is well", model=pinned)
    assert spoken(chunks) == "all is well"
    assert {heard.vendor for heard in mesh.tap.chats[before:]} == {name}


@pytest.mark.parametrize("name", sorted(EMBEDDING))
def test_each_that_offers_vectors_makes_them(mesh: Customer, name: str) -> None:
    model = usual(VENDORS[name], embeds=True)
    assert model is not None
    answer = mesh.embed("the first text", "the second", model=f"{name}/{model.id}")
    assert (answer.route.vendor, len(answer.embeddings)) == (name, 2)
    assert len(answer.embeddings[0].values) == len(answer.embeddings[1].values) > 1
