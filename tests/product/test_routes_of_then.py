"""The routing table on the snapshot of its day: whom a use case chooses, and who steps in without a key."""

import contextlib

import pytest
from fixtures.customer import TIERS, vendor_of
from fixtures.keyed_mesh import key_of, keyed_mesh

from catalog.loader import load_catalog
from catalog.snapshots import SHIPPED

THEN = load_catalog(SHIPPED / "2025.yaml")
CHOSEN = [1, 2, 3, 4, 5, 7, 12, 14, 15, 16, 17, 19, 20, 21]
WITHOUT = [1, 2, 3, 4, 5, 12, 19]
IMAGE = [
    {"type": "text", "text": "say: a picture"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
]


def rows(numbers):
    return pytest.mark.parametrize(
        "id_", [pytest.param(f"P-ROUTE-{n}", marks=pytest.mark.product(f"P-ROUTE-{n}")) for n in numbers]
    )


def is_called(ref, name):
    """Tell whether a model goes by the name a row gives it: its id, an alias, a short name, or the class it is of."""
    vendor, _, model = ref.partition("#")[0].partition("/")
    row = THEN.vendors[vendor].models[model]
    return name in (model, *row.aliases, *row.short_names) or name in model


@rows(CHOSEN)
def test_with_every_key_the_plan_and_a_real_call_choose_the_promised_vendor_and_model(row, former, id_):
    promised = row(id_)
    intent = {"use_case": promised["use_case"], "tier": TIERS[promised["tier"]]}
    first = former.explain("say: yes", **intent).offers[0].offer
    reply = former.chat(
        IMAGE if "an image" in promised["want"] else "say: yes",
        model=f"use_case:{promised['use_case']}/{promised['tier']}",
    )
    assert reply.status_code == 200, reply.text
    mesh = reply.json()["llm_mesh"]
    assert (vendor_of(first), mesh["vendor"], mesh["fallback_used"]) == (promised["vendor"], promised["vendor"], False)
    assert mesh["offer"].partition("#")[0] == first.partition("#")[0]
    if "model" in promised:
        assert is_called(mesh["offer"], promised["model"]), mesh["offer"]
    if "temperature" in promised:
        heard = former.tap.chats[-1].json
        sent = heard.get("temperature", heard.get("generationConfig", {}).get("temperature"))
        assert sent == promised["temperature"]


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """Run two meshes that lack the first choices of the rows: vendors of each, by the keys they have."""
    meshes = {}
    with contextlib.ExitStack() as stack:
        for names in (("mistral", "deepinfra", "openai"), ("groq", "anthropic")):
            keys = {THEN.vendors[name].key_env[0]: key_of(name, "key1") for name in names}
            place = tmp_path_factory.mktemp("without")
            environment = {"MESH_CATALOG": "2025", "LOCAL_MODELS_ENABLED": "false"}
            meshes[names] = stack.enter_context(keyed_mesh(place, keys=keys, environment=environment))
        yield meshes


@rows(WITHOUT)
def test_without_the_key_of_the_first_choice_the_promised_vendor_serves_and_the_reply_says_why(row, second, id_):
    promised = row(id_)
    missing = promised["missing"]
    (mesh,) = (
        mesh
        for names, mesh in second.items()
        if missing["vendor"] in names and not set(missing["without"]) & set(names)
    )
    mesh.tap.forget()
    for vendor in THEN.vendors.values():
        mesh.tap.standing(vendor.id, revived_models=list(vendor.models))
    route = mesh.generate(use_case=promised["use_case"], tier=TIERS[promised["tier"]]).route
    assert (route.vendor, route.fallback_used) == (missing["vendor"], True)
    assert route.primary_error == missing["primary_error"]
    assert {heard.vendor for heard in mesh.tap.chats} == {missing["vendor"]}


@pytest.mark.product("P-ROUTE-17")
def test_without_the_key_of_the_search_vendor_another_that_searches_serves_and_never_one_that_does_not(second):
    mesh = second["groq", "anthropic"]
    mesh.tap.standing("anthropic", revived_models=list(THEN.vendors["anthropic"].models))
    explained = mesh.explain(use_case="web_search", tier=TIERS["standard"])
    offers = [offer.offer.partition("#")[0] for offer in explained.offers]
    assert offers
    for offer in offers:
        vendor, _, model = offer.partition("/")
        assert "web_search" in THEN.vendors[vendor].models[model].capabilities
    assert mesh.generate(use_case="web_search", tier=TIERS["standard"]).route.vendor == "anthropic"
    assert second["mistral", "deepinfra", "openai"].refused(use_case="web_search", tier=TIERS["standard"])


@pytest.mark.product("P-ROUTE-4")
def test_without_the_first_two_of_classification_the_next_under_the_cap_serves(second):
    mesh = second["mistral", "deepinfra", "openai"]
    route = mesh.generate(use_case="classification", tier=TIERS["ultra_economy"]).route
    assert (route.vendor, route.fallback_used, route.primary_error) == ("mistral", True, "no API key for qwen")


@pytest.mark.product("P-ROUTE-5")
def test_at_tier_economy_a_text_is_summarized_by_a_flash_class_model_too(whole, former):
    for mesh in (whole, former):
        first = mesh.explain(use_case="summarization", tier=TIERS["economy"]).offers[0].offer
        assert first.startswith("gemini/")
        assert "flash" in first


@pytest.mark.product("P-ROUTE-7")
def test_long_is_another_name_of_complex(whole):
    plans = [whole.explain(use_case=name) for name in ("complex", "long")]
    assert plans[0].use_case == plans[1].use_case == "complex"
    assert vendor_of(plans[1].offers[0].offer) == "mistral"
