"""The doctor: what is wrong and what to do, and a checklist for each profile, each item a tick or what to do."""

import json
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import httpx
import pytest
from fixtures.keyed_mesh import key_of
from fixtures.sandbox_mesh import bare_environment, configured

from catalog.environment import endpoint_variable

CALLERS = {"ORCHESTRATOR_API_KEY": "a-key-of-callers"}


def run(directory, *words, **variables):
    """Run the doctor in a directory and return its findings by what they are about, and how it ended."""
    done = subprocess.run(
        [sys.executable, "-m", "llm_mesh", "doctor", *words, "--json"],
        cwd=directory,
        env=bare_environment(directory) | {"OLLAMA_BASE_URL": "http://127.0.0.1:9"} | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["well"] == (done.returncode == 0)
    return {each["what"]: each for each in told["findings"]}, done


def beside(customer, profile, **variables):
    """Run a profile beside a mesh that runs."""
    admin = urlsplit(customer.mesh.admin["router"]).netloc
    ways = {
        "MESH_CONFIG": str(customer.mesh.directory / "mesh.yaml"),
        "MESH_ROUTER_ADDRESS": customer.mesh.router,
        "MESH_QUOTA_ADDRESS": customer.mesh.quota,
        "MESH_EDGE_ADDRESS": urlsplit(customer.mesh.edge).netloc,
        "MESH_ROUTER_ADMIN": admin,
        endpoint_variable("ollama"): customer.tap.endpoint("ollama", ""),
    }
    return run(customer.mesh.directory, "--profile", profile, **ways, **variables)


def fails(finding):
    """Tell whether a finding is neither well nor optional."""
    return not (finding["well"] or finding["optional"])


def ticks(found):
    """Return what is well."""
    return {what for what, each in found.items() if each["well"]}


@pytest.mark.product("P-CMD-13")
def test_with_nothing_at_all_it_says_which_keys_are_missing_where_to_get_them_and_that_nobody_serves(tmp_path, living):
    found, done = run(tmp_path)
    assert done.returncode == 1
    for vendor in (vendor for vendor in living if vendor.key_env):
        told = found[f"key of {vendor.id}"]
        assert (told["well"], told["optional"]) == (False, True)
        assert told["advice"] == f"put one into .env as {vendor.key_env[0]}; get one at {vendor.key_page}"
    assert found["local server ollama"]["detail"] == "does not answer at http://127.0.0.1:9"
    assert found["a vendor that serves"]["detail"] == "no vendor is active"
    assert found["mesh"]["advice"] == "start it with `llm-mesh up`"
    assert [what for what, each in found.items() if not each["well"] and not each["optional"]] == [
        "a vendor that serves"
    ]


@pytest.mark.product("P-CMD-13")
def test_keys_left_as_in_the_example_or_malformed_are_told_apart_and_never_shown(tmp_path):
    good, bad = key_of("groq", "good"), "sk-this-is-none"
    (tmp_path / ".env").write_text(f"GROQ_API_KEY={good}\nGLM_API_KEY={bad}\nOPENAI_API_KEY=your-openai-key-here\n")
    found, done = run(tmp_path)
    assert found["key of openai"]["detail"] == "OPENAI_API_KEY is as the example file has it"
    assert found["key of groq"]["well"]
    malformed = found["key of glm"]
    assert (malformed["well"], malformed["optional"]) == (False, False)
    assert malformed["detail"].startswith("GLM_API_KEY does not look like a key of ")
    assert found["a vendor that serves"]["detail"] == "groq"
    assert done.returncode == 1
    assert good not in done.stdout
    assert bad not in done.stdout


@pytest.mark.product("P-CMD-13")
def test_a_port_in_use_and_a_wrong_line_are_named_with_what_to_do(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found, _ = run(tmp_path, MESH_EDGE_ADDRESS=f"127.0.0.1:{port}")
    assert f"port {port} is in use, and the HTTP edge needs it" in found["ports"]["detail"]
    assert "MESH_EDGE_ADDRESS" in found["ports"]["advice"]
    variables = configured(tmp_path, {"timeouts": {"reqest": 3}})
    found, done = run(tmp_path, MESH_CONFIG=variables["MESH_CONFIG"])
    assert list(found) == ["configuration"]
    assert "mesh.yaml:2: timeouts.reqest: unknown key" in found["configuration"]["detail"]
    assert done.returncode == 1


@pytest.mark.product("P-CMD-13")
def test_for_people_each_line_is_a_mark_what_was_found_and_what_to_do(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "llm_mesh", "doctor"],
        cwd=tmp_path,
        env=bare_environment(tmp_path) | {"LOCAL_MODELS_ENABLED": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "✓  configuration" in done.stdout
    assert "✗  a vendor that serves" in done.stdout
    assert done.stdout.endswith("\n1 thing to do\n")


@pytest.mark.product("P-OPS-20")
def test_the_minimal_checklist_is_ticks_when_both_keys_are_accepted_and_callers_have_one(whole):
    found, done = beside(whole, "minimal", **CALLERS)
    assert done.returncode == 0, done.stdout
    wanted = {"key of openai accepted", "key of anthropic accepted", "key of callers", "mesh", "keys accepted"}
    assert wanted <= ticks(found)
    found, done = beside(whole, "minimal")
    assert (done.returncode, {what for what in found if what not in ticks(found)}) == (1, {"key of callers"})
    assert "ORCHESTRATOR_API_KEY=" in found["key of callers"]["advice"]


@pytest.mark.product("P-OPS-20", "P-OPS-21")
def test_what_a_checklist_lacks_is_told_with_what_to_do(partial):
    rows = str(partial.mesh.directory / "catalog")
    found, done = beside(partial, "complete", ORCHESTRATOR_API_KEY=partial.key, MESH_CATALOG=rows)
    assert done.returncode == 1
    for vendor, page in (
        ("openai", "https://platform.openai.com/api-keys"),
        ("anthropic", "https://console.anthropic.com/"),
    ):
        assert found[f"key of {vendor}"]["advice"].endswith(f"get one at {page}")
    assert found["key of gemini accepted"]["well"]


@pytest.mark.product("P-OPS-21")
def test_the_complete_checklist_wants_gemini_under_either_name_and_local_models_if_there_are_any(whole):
    found, done = beside(whole, "complete", **CALLERS)
    assert done.returncode == 0, done.stdout
    assert found["key of gemini"]["detail"].startswith(("GOOGLE_API_KEY", "GEMINI_API_KEY"))
    assert {"key of gemini accepted", "local server ollama", "local models"} <= ticks(found)
    assert found["local models"]["optional"]


@pytest.mark.product("P-OPS-22")
def test_the_production_checklist_wants_monitoring_replicas_fallbacks_and_budgets(whole):
    assert httpx.get(f"{whole.mesh.admin['router']}/metrics", trust_env=False).status_code == 200
    found, done = beside(whole, "production", **CALLERS)
    assert done.returncode == 1
    assert {"metrics scraped", "fallbacks"} <= ticks(found), done.stdout
    assert "dns:///" in found["router replicas"]["advice"]
    for name in ("a budget of money", "a budget of requests or tokens"):
        assert found[name]["advice"].startswith("add one to `budgets` of mesh.yaml")


@pytest.mark.product("P-OPS-23")
def test_the_free_checklist_wants_four_keys_a_local_model_and_a_fallback_that_was_tried(whole):
    whole.tap.faults("gemini", {"kind": "status", "status": 500})
    assert whole.generate(use_case="fragile").route.fallback_used
    found, done = beside(whole, "free")
    wanted = {f"key of {vendor} accepted" for vendor in ("groq", "mistral", "gemini", "openrouter")}
    wanted |= {"local server ollama", "local model llama3.1:8b", "fallback tried"}
    assert wanted <= ticks(found), done.stdout
    readable = whole.http.get("/api/health").status_code == 200
    assert found["/api/health"]["well"] == readable
    assert (done.returncode == 0) == readable
