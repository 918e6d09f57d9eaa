"""Who gets which keys."""

import pytest
from fixtures.shipped import shipped

from llm_mesh.environment import Environments, environments, sandboxed

CATALOG = shipped()
OURS = {
    "GROQ_API_KEY": "gsk_groq-one",
    "GROQ_API_KEY_2": "gsk_groq-two",
    "OPENAI_API_KEY": "sk-openai",
    "ORCHESTRATOR_API_KEY": "callers",
    "MESH_API_KEY": "client",
    "PATH": "/bin",
}


def made(environment: dict[str, str], env_file: dict[str, str] | None = None) -> Environments:
    return environments(CATALOG, environment, env_file or {})


def test_a_vendors_keys_reach_its_own_provider_and_nobody_else() -> None:
    found = made(OURS)
    own = found.of_vendors(["groq"])
    assert (own["GROQ_API_KEY"], own["GROQ_API_KEY_2"]) == ("gsk_groq-one", "gsk_groq-two")
    assert not {"OPENAI_API_KEY", "ORCHESTRATOR_API_KEY", "MESH_API_KEY"} & own.keys()
    assert not {"GROQ_API_KEY", "GROQ_API_KEY_2", "OPENAI_API_KEY"} & found.of_router().keys()


@pytest.mark.parametrize("name", ["ORCHESTRATOR_API_KEY", "MESH_KEY_PEPPER", "MESH_SERVICE_KEY"])
def test_what_callers_are_known_by_reaches_router_and_ledger_alone(name: str) -> None:
    found = made({**OURS, name: "known by this"}, {name: "overruled"})
    assert (found.of_router()[name], found.of_quota()[name]) == ("known by this", "known by this")
    assert name not in {**found.plain, **found.of_vendors(["groq"])}
    assert "known by this" not in repr(found)


def test_the_services_of_one_mesh_know_one_another_by_a_key_that_is_new_unless_it_was_said() -> None:
    one, other = made(OURS).of_one_mesh(), made(OURS).of_one_mesh()
    assert one.of_router()["MESH_SERVICE_KEY"] == one.of_quota()["MESH_SERVICE_KEY"]
    assert one.keys["MESH_SERVICE_KEY"] != other.keys["MESH_SERVICE_KEY"]
    assert made({"MESH_SERVICE_KEY": "said"}).of_one_mesh().keys["MESH_SERVICE_KEY"] == "said"


def test_the_address_of_the_ledgers_store_with_its_password_reaches_the_quota_service_alone() -> None:
    found = made({**OURS, "MESH_LEDGER_URL": "redis://:hunter2@store"})
    assert found.of_quota()["MESH_LEDGER_URL"] == "redis://:hunter2@store"
    for environment in (found.plain, found.of_router(), found.of_vendors(["groq"])):
        assert "MESH_LEDGER_URL" not in environment
    assert "hunter2" not in repr(found)


def test_no_process_gets_the_key_of_the_commands() -> None:
    found = made({"MESH_API_KEY": "client"}, {"MESH_API_KEY": "client"})
    assert "MESH_API_KEY" not in {**found.plain, **found.keys}


def test_of_the_env_file_only_what_the_mesh_knows_is_handed_on() -> None:
    env_file = {
        "GROQ_API_KEY": "gsk_file",
        "OLLAMA_BASE_URL": "http://gpu:11434",
        "https_proxy": "http://proxy:1",
        "MESH_TRACE_SAMPLE_RATIO": "1",
        "DATABASE_PASSWORD": "hush",
    }
    found = made({}, env_file)
    assert set(found.plain) == {"OLLAMA_BASE_URL", "https_proxy", "MESH_TRACE_SAMPLE_RATIO"}
    assert set(found.keys) == {"GROQ_API_KEY"}


@pytest.mark.parametrize(("said", "wins"), [("gsk_environment", "gsk_environment"), ("", "gsk_file")])
def test_the_environment_beats_the_env_file_unless_it_says_nothing(said: str, wins: str) -> None:
    found = made({"GROQ_API_KEY": said}, {"GROQ_API_KEY": "gsk_file"})
    assert found.keys["GROQ_API_KEY"] == wins


def test_keys_are_not_shown() -> None:
    shown = repr(made(OURS))
    assert not [value for name, value in OURS.items() if name.endswith("KEY") and value in shown]


def test_a_sandbox_has_no_real_key_and_calls_no_real_vendor() -> None:
    found = sandboxed(made(OURS), "127.0.0.1:7490")
    everything = {**found.plain, **found.of_vendors(CATALOG.vendors), **found.of_router()}
    assert not {"gsk_groq-one", "gsk_groq-two", "sk-openai"} & set(everything.values())
    assert "GROQ_API_KEY_2" not in everything
    for vendor in CATALOG.vendors.values():
        assert everything[f"MESH_{vendor.id.upper()}_ENDPOINT"].startswith(f"http://127.0.0.1:7490/{vendor.id}")
        assert not vendor.key_env or "sandbox" in everything[vendor.key_env[0]]


def test_a_sandbox_keeps_the_path_of_the_vendors_own_endpoint() -> None:
    found = sandboxed(made({}), "127.0.0.1:7490")
    assert found.plain["MESH_GROQ_ENDPOINT"] == "http://127.0.0.1:7490/groq/openai/v1"
    assert found.plain["MESH_OLLAMA_ENDPOINT"] == "http://127.0.0.1:7490/ollama"


def test_a_sandbox_does_not_call_itself_through_a_proxy() -> None:
    found = sandboxed(made({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "intern"}), "127.0.0.1:7490")
    assert found.plain["NO_PROXY"] == "intern,127.0.0.1,localhost"
