"""The models section: retired models are served by their successors, and the lists say so."""

import shutil

import pytest
from fixtures.sandbox_mesh import ROOT

from catalog.loader import load_catalog
from catalog.model import ModelRef
from meshkit.yaml_file import ConfigError


def retired(catalogue):
    """Return what has ended, but for the one that this mesh's own configuration brings back to life."""
    return [
        (vendor, model)
        for vendor in catalogue.vendors.values()
        for model in vendor.models.values()
        if model.status == "retired" and model.id != "o1"
    ]


@pytest.mark.product("P-MODEL-2", "P-OPS-3")
def test_every_retired_model_is_served_by_its_successor_with_a_notice_that_says_so(whole, catalogue):
    assert retired(catalogue)
    for vendor, model in retired(catalogue):
        successor = catalogue.successor(ModelRef(vendor.id, model.id))
        response = whole.generate(model=f"{vendor.id}/{model.id}")
        assert f"{response.route.vendor}/{response.route.model}" == str(successor)
        assert whole.tap.chats[-1].vendor == successor.vendor
        notice = f"model {vendor.id}/{model.id} was retired on {model.retired_on}, served by {successor}"
        assert [warning.message for warning in response.completion.warnings if warning.code == "retired"] == [notice]


@pytest.mark.product("P-MODEL-2", "P-OPS-3")
def test_over_http_the_reply_names_the_serving_model_and_carries_the_notice(whole):
    reply = whole.chat(model="gemini/gemini-1.5-flash").json()
    assert reply["model"] == "gemini-2.5-flash"
    notices = [warning["message"] for warning in reply["llm_mesh"]["warnings"]]
    assert "model gemini/gemini-1.5-flash was retired on 2025-09-29, served by gemini/gemini-2.5-flash" in notices


@pytest.mark.product("P-MODEL-2", "P-OPS-3")
def test_the_list_shows_retired_models_with_date_and_successor(whole, catalogue):
    listed = {model["id"]: model for model in whole.http.get("/models", params={"all": "true"}).json()["data"]}
    for vendor, model in retired(catalogue):
        shown = listed[f"{vendor.id}/{model.id}"]
        assert shown["status"] == "retired"
        assert shown["shutdown_date"] == str(model.retired_on)
        assert shown["successor"] == str(catalogue.successor(ModelRef(vendor.id, model.id)))


@pytest.mark.product("P-MODEL-3", "P-OPS-3")
def test_a_chain_of_successors_is_followed_to_a_model_that_is_alive(whole, catalogue):
    groq = catalogue.vendors["groq"].models
    assert groq["llama3-70b-8192"].successor == "llama-3.1-70b-versatile"
    assert str(groq["llama-3.1-70b-versatile"].retired_on) == "2025-01-24"
    response = whole.generate(model="groq/llama3-70b-8192")
    assert (response.route.vendor, response.route.model) == ("groq", "openai/gpt-oss-120b")
    assert groq["openai/gpt-oss-120b"].status == "active"


@pytest.mark.product("P-MODEL-3", "P-OPS-3")
def test_a_cycle_of_successors_is_refused_when_the_catalogue_is_loaded(tmp_path):
    for file in (ROOT / "catalog").glob("*.yaml"):
        shutil.copy(file, tmp_path)
    groq = tmp_path / "groq.yaml"
    text = groq.read_text(encoding="utf-8")
    assert text.count("successor: llama-3.3-70b-versatile") == 1
    groq.write_text(text.replace("successor: llama-3.3-70b-versatile", "successor: llama3-70b-8192"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"groq\.yaml:\d+: models\..*circle"):
        load_catalog(tmp_path)
