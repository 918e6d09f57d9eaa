"""The vendors section: who is active and why not, whose key is sent where, which names a vendor goes by."""

import pytest
from fixtures.customer import spoken
from fixtures.promised_vendors import agrees
from fixtures.vendor_lists import lists_agree

from catalog.keys import check_key, is_template


@pytest.mark.product("P-VENDOR-1")
def test_openai_is_active_with_its_key_and_gpt_4o_answers_whole_and_streamed(row, whole, catalogue):
    vendor = agrees(row("P-VENDOR-1"), catalogue)
    for key in ("sk-proj-a1B2c3D4e5", "sk-a1B2c3D4e5"):
        assert check_key(vendor, key).state == "ok"
    assert whole.vendors()["openai"].status == "active"
    reply = whole.chat("say: all is well", provider="openai", model="gpt-4o").json()
    assert (reply["model"], reply["choices"][0]["message"]["content"]) == ("gpt-4o", "all is well")
    chunks = whole.stream("say: all is well", model="gpt/gpt-4o")
    assert spoken(chunks) == "all is well"
    assert {chunk["model"] for chunk in chunks} == {"gpt-4o"}


@pytest.mark.product("P-VENDOR-1")
@pytest.mark.parametrize("ended", ["gpt-4-turbo", "gpt-3.5-turbo"])
def test_models_of_openai_that_ended_go_to_their_successors(whole, ended):
    response = whole.generate(model=f"openai/{ended}")
    assert response.route.vendor == "openai"
    assert response.route.model != ended
    assert response.completion.warnings[-1].message.startswith(f"model openai/{ended} was retired on 2026-10-23")


@pytest.mark.product("P-VENDOR-1")
def test_without_its_key_openai_is_inactive_and_says_why_and_the_mesh_runs_with_the_others(partial):
    vendors = partial.vendors()
    assert (vendors["openai"].status, vendors["openai"].reason) == ("inactive", "no API key for openai")
    assert partial.generate(use_case="quick").route.vendor == "groq"


@pytest.mark.product("P-VENDOR-4")
def test_either_name_of_the_key_of_gemini_works(row, whole, catalogue):
    vendor = agrees(row("P-VENDOR-4"), catalogue)
    assert [name for name in whole.keys if name in vendor.key_env] == ["GOOGLE_API_KEY"]
    assert "GEMINI_API_KEY_2" in whole.keys  # of the second slot, the only name there
    assert whole.vendors()["gemini"].usable_slots == 2
    whole.generate(use_case="creative")  # tier free: the key under GOOGLE_API_KEY
    assert whole.tap.chats[-1].headers["x-goog-api-key"] == whole.keys["GOOGLE_API_KEY"]
    whole.generate(use_case="gemini_analysis")  # not in the free plan: the key under GEMINI_API_KEY_2
    assert whole.tap.chats[-1].headers["x-goog-api-key"] == whole.keys["GEMINI_API_KEY_2"]


@pytest.mark.product("P-VENDOR-4")
def test_with_both_names_set_and_different_gemini_api_key_wins_and_a_warning_names_both(partial):
    assert partial.keys["GEMINI_API_KEY"] != partial.keys["GOOGLE_API_KEY"]
    partial.generate(use_case="creative")
    assert partial.tap.chats[-1].vendor == "gemini"
    assert partial.tap.chats[-1].headers["x-goog-api-key"] == partial.keys["GEMINI_API_KEY"]
    warning = next(line for line in partial.mesh.log("provider-gemini").splitlines() if '"warning"' in line)
    assert "GEMINI_API_KEY" in warning
    assert "GOOGLE_API_KEY" in warning


@pytest.mark.product("P-VENDOR-4")
def test_the_key_of_gemini_is_never_in_a_url(whole):
    whole.generate(model="gemini/gemini-2.5-flash")
    whole.stream(model="gemini/flash")
    targets = [heard.target for heard in whole.tap.chats if heard.vendor == "gemini"]
    assert len(targets) == 2
    for target in targets:
        assert "key" not in target.partition("?")[2]
        assert not any(key in target for key in whole.keys.values())


@pytest.mark.product("P-VENDOR-19")
def test_the_local_server_is_at_localhost_unless_ollama_base_url_says_otherwise(row, whole, partial, catalogue):
    vendor = agrees(row("P-VENDOR-19"), catalogue)
    assert vendor.endpoint == "http://localhost:11434"
    assert set(vendor.endpoint_env) == {"OLLAMA_BASE_URL", "OLLAMA_HOST"}
    assert whole.vendors()["ollama"].status == "active"
    assert partial.vendors()["ollama"].status == "inactive"
    assert "unreachable" in partial.vendors()["ollama"].reason


@pytest.mark.product("P-VENDOR-19")
def test_local_models_enabled_false_makes_the_local_server_inactive_with_reason_disabled(empty):
    assert empty.vendors()["ollama"].status == "inactive"
    assert "disabled" in empty.vendors()["ollama"].reason
    assert {excluded.reason for excluded in empty.explain(model="ollama/mistral:7b").excluded} == {"disabled"}


@pytest.mark.product("P-VENDOR-19")
def test_the_local_server_never_refuses_for_quota(whole, catalogue):
    vendor = catalogue.vendors["ollama"]
    # How many calls it takes at one time is a place in a queue, not a quota: who finds none free waits for one.
    assert {limit.unit for plan in vendor.plans.values() for limit in plan.limits} == {"concurrency"}
    assert {model.price.input + model.price.output for model in vendor.models.values()} == {0}


@pytest.mark.product("P-VENDOR-21")
@pytest.mark.parametrize(
    "value",
    [
        "your-key",
        "your_api_key",
        "votre_cle",
        "votre-cle-ici",
        "xxxx",
        "sk-xxxxxxxx",
        "put-your-key-here",
        "gsk_something-here",
    ],
)
def test_a_template_value_counts_as_a_missing_key(value, catalogue):
    assert is_template(value)
    assert check_key(catalogue.vendors["groq"], value).reason == "no API key"


@pytest.mark.product("P-OPS-7")
@pytest.mark.parametrize("mesh", ["whole", "partial", "empty"])
def test_the_lists_of_the_command_line_and_over_http_agree_whatever_keys_there_are(mesh, request):
    lists_agree(request.getfixturevalue(mesh))


@pytest.mark.product("P-VENDOR-21")
def test_a_vendor_with_a_template_value_is_inactive_for_no_api_key_and_the_value_is_never_sent(empty):
    for vendor in ("openai", "groq", "gemini"):
        told = empty.vendors()[vendor]
        assert (told.status, told.reason) == ("inactive", f"no API key for {vendor}")
        assert empty.refused(model=vendor).message == f"no API key for {vendor}"
    assert empty.tap.heard == []
