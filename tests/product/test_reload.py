"""Models of today: added or changed in a row or in mesh.yaml, and served without a restart and without code."""

import datetime as dt
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from fixtures.keyed_mesh import changed_catalogue
from fixtures.sandbox_mesh import ROOT, SandboxMesh, configured, started

pytestmark = pytest.mark.product("P-OPS-19")
WITHIN = 60.0  # seconds; it takes two or three on a machine that has time
ADDED, CHANGED = "added-model", "changed-model"


def row(output: float) -> dict[str, Any]:
    return {
        "model_class": "chat",
        "context_window": 128_000,
        "price": {"input": 0.1, "output": output},
        "source": "the row of the promise",
        "date": dt.date(2026, 11, 20),
    }


def shipped_models() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "catalog/deepseek.yaml").read_text(encoding="utf-8"))["models"]
    return found


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxMesh]:
    """A mesh with rows of its own; its simulated vendors have every model it knows as it starts."""
    directory = tmp_path_factory.mktemp("models")
    models = {**shipped_models(), ADDED: row(0.2), CHANGED: row(0.2)}
    changed_catalogue(directory, "deepseek", models=models)
    variables = configured(directory, {"catalog": "catalog", "vendors": {"openai": {"models": {ADDED: row(0.2)}}}})
    with started(directory, ["--sandbox"], variables) as mesh:
        yield mesh


def pids(mesh: SandboxMesh) -> dict[str, int]:
    return {name: mesh.pid(name) for name in mesh.names}


def write(path: Path, said: dict[str, Any]) -> None:
    """Write a file as careful editors do: beside it, then in its place."""
    beside = path.with_suffix(".new")
    beside.write_text(yaml.safe_dump(said), encoding="utf-8")
    beside.replace(path)


def write_models(mesh: SandboxMesh, **models: Any) -> None:
    path = mesh.directory / "catalog/deepseek.yaml"
    write(path, {**yaml.safe_load(path.read_text(encoding="utf-8")), "models": {**shipped_models(), **models}})


def until(true: Callable[[], Any], what: str) -> None:
    ends = time.monotonic() + WITHIN
    while not true():
        assert time.monotonic() < ends, f"not within {WITHIN} s: {what}"
        time.sleep(0.3)


def asked(mesh: SandboxMesh, model: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "say: yes"}]}
    return httpx.post(f"{mesh.edge}/v1/chat/completions", json=body, timeout=20, trust_env=False)


def listed(mesh: SandboxMesh) -> dict[str, Any]:
    found = httpx.get(f"{mesh.edge}/v1/models", timeout=20, trust_env=False).json()
    return {model["id"]: model for model in found["data"]}


def output_price(mesh: SandboxMesh, model: str) -> float:
    return float(listed(mesh)[model]["output_usd_per_1m"])


def test_a_model_in_a_catalogue_row_is_added_and_changed_and_served_by_the_same_processes(mesh):
    before = pids(mesh)
    write_models(mesh, **{CHANGED: row(0.2)})
    until(lambda: asked(mesh, f"deepseek/{ADDED}").status_code == 404, "a row without the model")
    assert f"deepseek/{ADDED}" not in listed(mesh)
    write_models(mesh, **{CHANGED: row(0.7), ADDED: row(0.2)})
    until(lambda: asked(mesh, f"deepseek/{ADDED}").status_code == 200, "the model to be served")
    assert asked(mesh, f"deepseek/{ADDED}").json()["model"] == ADDED
    assert output_price(mesh, f"deepseek/{CHANGED}") == pytest.approx(0.7)
    assert asked(mesh, f"deepseek/{CHANGED}").status_code == 200
    assert pids(mesh) == before


def test_a_model_in_mesh_yaml_is_added_and_a_use_case_goes_to_it(mesh):
    before, file = pids(mesh), mesh.directory / "mesh.yaml"
    write(file, {"catalog": "catalog"})
    until(lambda: asked(mesh, f"openai/{ADDED}").status_code == 404, "a file without the model")
    case = {"default_tier": "premium", "candidates": {"premium": [f"openai/{ADDED}"]}}
    said = {"catalog": "catalog", "vendors": {"openai": {"models": {ADDED: row(0.3)}}}, "use_cases": {"today": case}}
    write(file, said)
    until(lambda: asked(mesh, "use_case:today").status_code == 200, "the use case to be served")
    assert asked(mesh, "use_case:today").json()["model"] == ADDED
    assert pids(mesh) == before


def test_a_row_with_a_mistake_changes_nothing_and_is_told(mesh):
    write_models(mesh, **{ADDED: {**row(0.2), "contxt": 5}})
    until(lambda: "contxt: unknown key; allowed: " in warnings(mesh), "the mistake to be told")
    assert "catalog/deepseek.yaml:" in warnings(mesh)
    assert asked(mesh, f"deepseek/{ADDED}").status_code == 200
    write_models(mesh, **{ADDED: row(0.2)})
    until(lambda: "contxt" not in warnings(mesh), "the mistake to be mended")


def warnings(mesh: SandboxMesh) -> str:
    told = httpx.get(f"{mesh.edge}/api/health", timeout=20, trust_env=False).json()
    return "\n".join(told["warnings"])
