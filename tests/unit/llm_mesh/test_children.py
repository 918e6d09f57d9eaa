"""The plan of processes."""

import sys
from pathlib import Path

from fixtures.shipped import shipped

from catalog.mesh import load_mesh
from llm_mesh.children import ChildPlan, Layout, plan_children, provider_processes
from llm_mesh.environment import environments

CATALOG = shipped()
KEYS = {"GROQ_API_KEY": "gsk_real", "OPENAI_API_KEY": "sk-real", "ORCHESTRATOR_API_KEY": "callers"}


def plans(*, isolated: bool = False, simulator: str | None = None, config: Path | None = None) -> list[ChildPlan]:
    mesh = load_mesh(None, {})
    processes = provider_processes(CATALOG.vendors, isolated=isolated)
    admins = {name: mesh.provider_admin(vendors[0]) for name, vendors in processes.items()}
    layout = Layout(mesh, config, processes, admins, simulator)
    return list(plan_children(layout, environments(CATALOG, KEYS, {}), parent=77))


def test_what_is_depended_on_starts_first() -> None:
    assert [child.name for child in plans(simulator="127.0.0.1:7490")] == ["simulator", "quota", "providers", "router"]


def test_one_provider_process_serves_every_vendor_unless_they_are_isolated() -> None:
    (providers,) = (child for child in plans() if child.name == "providers")
    assert [word for word in providers.argv if word in CATALOG.vendors] == list(CATALOG.vendors)
    isolated = [child for child in plans(isolated=True) if child.name.startswith("provider-")]
    assert [child.name for child in isolated] == [f"provider-{vendor}" for vendor in CATALOG.vendors]


def test_an_isolated_provider_has_its_own_key_alone() -> None:
    children = {child.name: child.env for child in plans(isolated=True)}
    assert children["provider-groq"]["GROQ_API_KEY"] == "gsk_real"
    holders = {name: sorted(KEYS.keys() & env.keys()) for name, env in children.items()}
    assert {name: keys for name, keys in holders.items() if keys} == {
        "provider-groq": ["GROQ_API_KEY"],
        "provider-openai": ["OPENAI_API_KEY"],
        "quota": ["ORCHESTRATOR_API_KEY"],
        "router": ["ORCHESTRATOR_API_KEY"],
    }


def test_commands_are_those_of_serve_with_the_configuration_and_the_parent() -> None:
    children = {child.name: child for child in plans(simulator="127.0.0.1:7490", config=Path("my.yaml"))}
    start = (sys.executable, "-m", "llm_mesh", "serve")
    assert children["router"].argv == (*start, "router", "--parent", "77", "--config", "my.yaml")
    assert children["simulator"].argv[3:] == (
        *("serve", "simulator", "--parent", "77"),
        *("--host", "127.0.0.1", "--port", "7490"),
    )
    assert children["providers"].argv[3:5] == ("serve", "provider")
    assert children["providers"].argv[-4] == "--admin"


def test_each_process_is_ready_when_its_admin_page_says_so() -> None:
    children = {child.name: child.ready_url for child in plans(simulator="127.0.0.1:7490")}
    assert children["quota"] == "http://127.0.0.1:9465/readyz"
    assert children["simulator"] == "http://127.0.0.1:7490/_control/vendors"


def test_no_plan_shows_a_key() -> None:
    assert "real" not in repr(plans())
