"""What a mesh begins with: files made from what is here, that read back as the defaults and hold no secret."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from fixtures.sandbox_mesh import ROOT, bare_environment
from fixtures.shipped import shipped

from catalog.mesh import load_mesh
from catalog.mesh_rows import MeshFile
from llm_mesh import beginnings
from llm_mesh.cli import config, init
from llm_mesh.env_file import parse_env
from meshkit.yaml_file import ConfigError, Document

KEY = "gsk_" + "a" * 52


def run(directory: Path, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "llm_mesh", *words],
        cwd=directory,
        env=bare_environment(directory) | variables,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_file_has_every_key_at_its_default():
    text = beginnings.mesh_yaml({})
    assert MeshFile.model_validate(yaml.safe_load(text)) == MeshFile()
    assert all(len(line) <= beginnings.WIDTH for line in text.splitlines())


def test_every_vendor_that_lives_has_its_variables_with_where_to_get_a_key():
    catalog = shipped()
    text = beginnings.env(catalog, {}, {})
    for vendor in catalog.vendors.values():
        if vendor.retired_on is None:
            assert vendor.key_page in text
            assert all(f"{name}=" in text for name in vendor.key_env)
    said = parse_env(text)
    assert load_mesh(None, said).vendors
    assert all(value.startswith("your-") for value in said.values())


def test_a_port_that_is_in_use_gets_another_and_the_file_says_so():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        usual = load_mesh(None, {"MESH_EDGE_LISTEN": f"127.0.0.1:{taken.getsockname()[1]}"})
        moved = init._moved(usual)
    edge = ("addresses", "edge", "listen")
    assert moved[edge] != usual.edge.listen
    text = beginnings.mesh_yaml({edge: moved[edge]})
    assert f"    listen: {moved[edge]} # 127.0.0.1:8080 was in use\n" in text


def test_init_writes_what_it_finds_and_no_key(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        home = f"http://127.0.0.1:{server.getsockname()[1]}"
        done = run(tmp_path, "init", "--json", GROQ_API_KEY=KEY, OLLAMA_BASE_URL=home)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["written"], told["left"], told["keys"]) == (["mesh.yaml", ".env"], [], ["groq"])
    assert told["local_servers"] == {"ollama": home}
    written, env = (tmp_path / "mesh.yaml").read_text(), (tmp_path / ".env").read_text()
    assert KEY not in written + env + done.stdout
    assert "# in the environment already: GROQ_API_KEY" in env
    assert parse_env(env)["OLLAMA_BASE_URL"] == home
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    load_mesh(tmp_path / "mesh.yaml", parse_env(env))


def test_init_never_writes_over_what_is_there_unless_forced(tmp_path):
    (tmp_path / ".env").write_text("GROQ_API_KEY=mine\n")
    done = run(tmp_path, "init")
    assert done.returncode == 0
    assert ".env: left as it is (--force writes it anew)" in done.stdout
    assert (tmp_path / ".env").read_text() == "GROQ_API_KEY=mine\n"
    assert run(tmp_path, "init", "--force").returncode == 0
    assert (tmp_path / ".env.old").read_text() == "GROQ_API_KEY=mine\n"
    assert "OPENAI_API_KEY=your-openai-key-here" in (tmp_path / ".env").read_text()
    done = run(tmp_path, "init", "nowhere/at/all")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "nowhere/at/all/mesh.yaml: cannot be written: No such file or directory" in done.stderr


def test_config_check_reads_the_file_as_a_mesh_would(tmp_path):
    (tmp_path / "mesh.yaml").write_text("budgets:\n- {subject: tenant/a, unit: usd, window: month, amount: 5}\n")
    done = run(tmp_path, "config", "check", "--json", LOCAL_MODELS_ENABLED="false")
    assert json.loads(done.stdout)["budgets"] == 1
    assert json.loads(done.stdout)["switched_off"] == ["ollama"]
    (tmp_path / "other.yaml").write_text("timeouts:\n  idle: soon\n")
    done = run(tmp_path, "config", "check", "other.yaml")
    assert (done.returncode, done.stderr.startswith("llm-mesh: other.yaml:2: timeouts.idle: ")) == (1, True)
    done = run(tmp_path, "config", "check", MESH_TRACE_SAMPLE_RATIO="much")
    assert (done.returncode, "MESH_TRACE_SAMPLE_RATIO" in done.stderr) == (1, True)


def test_the_schema_is_one_and_takes_every_file_we_ship():
    schema = config.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    files = [ROOT / "mesh.yaml", ROOT / "deploy/kustomize/base/mesh.yaml", *(ROOT / "tests/scenarios").glob("*.yaml")]
    assert len(files) > 3
    for file in files:
        said = json.loads(json.dumps(yaml.safe_load(file.read_text()), default=str))
        if "over" not in said:  # snapshots of the catalogue lie beside the scenarios
            assert list(validator.iter_errors(said)) == [], file


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"timeouts": {"reqest": 3}}, ["timeouts"]),
        ({"telemetry": {"log_level": "loud"}}, ["telemetry", "log_level"]),
        ({"vendors": {"groq": {"safety": 2}}}, ["vendors", "groq", "safety"]),
        ({"budgets": [{"subject": "tenant/a", "unit": "euro", "window": "day", "amount": 1}]}, ["budgets", 0, "unit"]),
    ],
)
def test_the_schema_refuses_what_the_reading_refuses_at_the_same_place(said, place):
    with pytest.raises(ConfigError):
        Document("mesh.yaml", said).validate(MeshFile)
    error, *_ = jsonschema.Draft202012Validator(config.json_schema()).iter_errors(said)
    assert list(error.absolute_path) == place


def test_the_shell_gets_its_completion(tmp_path):
    asked = {"_LLM_MESH_COMPLETE": "complete_bash", "COMP_WORDS": "llm-mesh sav", "COMP_CWORD": "1"}
    script = Path(sys.executable).with_name("llm-mesh")
    done = subprocess.run(
        [script], env=bare_environment(tmp_path) | asked, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stdout.split() == ["savings"], done.stderr
