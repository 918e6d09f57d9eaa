"""mesh.yaml and the environment: defaults, what beats what, and what reaches the services."""

import re
from datetime import date
from pathlib import Path

import pytest
import yaml
from fixtures.shipped import shipped

from catalog.mesh import Address, Endpoint, Mesh, Slot, default_path, load_mesh
from catalog.mesh_rows import MeshFile
from catalog.window import Window
from meshkit.tls import ServerTls
from meshkit.yaml_file import load

SHIPPED = Path(__file__).parents[3] / "mesh.yaml"


def mesh(directory: Path, text: str = "", **env: str) -> Mesh:
    path = directory / "mesh.yaml"
    path.write_text(text)
    return load_mesh(path, env, None if "MESH_CATALOG" in env or "catalog:" in text else shipped())


def test_the_shipped_file_says_exactly_the_built_in_defaults() -> None:
    assert load_mesh(SHIPPED, {}) == load_mesh(None, {})


def test_every_key_of_the_file_is_in_the_shipped_one() -> None:
    said = yaml.safe_load(SHIPPED.read_text())
    assert said == load(SHIPPED, MeshFile).model_dump()


def test_the_examples_in_the_shipped_file_are_right_when_they_are_uncommented(tmp_path: Path) -> None:
    text = re.sub(r"^(\w+): (\{\}|\[\])\n(?=#  )", r"\1:\n", SHIPPED.read_text(), flags=re.MULTILINE)
    text = re.sub(r"^#(  .*)$", r"\1", text, flags=re.MULTILINE)
    read = mesh(tmp_path, text)
    assert read.slot("groq", 2) == Slot(2, "second", "paid")
    assert "support" in read.use_cases
    assert read.budgets[0].subject == "tenant/alice"


def test_the_defaults_are_those_that_are_documented() -> None:
    read = load_mesh(None, {}, shipped())
    assert read.router == Address("127.0.0.1:7400", "127.0.0.1:7400")
    assert read.quota.dial == "127.0.0.1:7401"
    assert read.edge.listen == "127.0.0.1:8080"
    assert (read.router_admin, read.quota_admin) == ("127.0.0.1:9464", "127.0.0.1:9465")
    assert read.provider_address("openai").listen == "127.0.0.1:7410"
    assert read.provider_admin("openai") == "127.0.0.1:9470"
    assert read.endpoint("ollama") == Endpoint("http://localhost:11434")
    assert read.tiers == {
        "free": 0,
        "ultra_economy": 120_000_000,
        "economy": 400_000_000,
        "standard": 3_000_000_000,
        "premium": None,
    }
    assert dict(read.timeouts.first_token) == {"chat": 10, "reasoning": 120, "local": 60, "embedding": 10}
    assert read.slot("groq", 3) == Slot(3, "default", "free")


def test_every_vendor_has_a_port_of_its_own() -> None:
    read = load_mesh(None, {}, shipped())
    assert len({read.provider_address(vendor).listen for vendor in read.vendors}) == len(read.vendors)


def test_a_plain_address_in_the_environment_is_listened_on_and_dialled() -> None:
    read = load_mesh(None, {"MESH_QUOTA_ADDRESS": "quota:7401", "MESH_PROVIDER_GROQ_ADDRESS": "127.0.0.1:9"})
    assert read.quota == Address("quota:7401", "quota:7401")
    assert read.provider_address("groq") == Address("127.0.0.1:9", "127.0.0.1:9")


def test_an_address_with_a_scheme_is_only_dialled() -> None:
    read = load_mesh(None, {"MESH_QUOTA_ADDRESS": "dns:///quota:7401", "MESH_QUOTA_LISTEN": "0.0.0.0:7401"})
    assert read.quota == Address("0.0.0.0:7401", "dns:///quota:7401")


def test_provider_services_are_dialled_by_a_pattern(tmp_path: Path) -> None:
    read = mesh(tmp_path, "addresses: {providers: {host: 0.0.0.0, dial: 'dns:///provider-{vendor}:{port}'}}")
    assert read.provider_address("groq") == Address("0.0.0.0:7417", "dns:///provider-groq:7417")


def test_the_environment_beats_the_file(tmp_path: Path) -> None:
    text = "ledger: {path: a.db}\ntelemetry: {sample_ratio: 1}\nvendors: {groq: {endpoint: http://file}}"
    said = mesh(
        tmp_path,
        text,
        MESH_LEDGER_PATH="b.db",
        MESH_TRACE_SAMPLE_RATIO="0.5",
        MESH_GROQ_ENDPOINT="http://127.0.0.1:7490/groq/",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://localhost:4317",
    )
    assert said.ledger.path == "b.db"
    assert (said.telemetry.sample_ratio, said.telemetry.otlp_endpoint) == (0.5, "http://localhost:4317")
    assert said.endpoint("groq") == Endpoint("http://127.0.0.1:7490/groq")
    assert mesh(tmp_path, text).endpoint("groq") == Endpoint("http://file")


@pytest.mark.parametrize(
    ("text", "env", "store"),
    [
        ("", {}, "sqlite"),
        ("", {"MESH_LEDGER_URL": "rediss://:hunter2@store"}, "redis"),
        ("ledger: {url: 'unix:///store'}", {}, "redis"),
        ("ledger: {store: redis}", {}, "redis"),
        ("ledger: {url: 'redis://store'}", {"MESH_LEDGER_STORE": "sqlite"}, "sqlite"),
    ],
)
def test_a_url_says_that_the_ledger_is_in_a_store_and_is_never_shown(tmp_path, text, env, store) -> None:
    said = mesh(tmp_path, text, **env)
    assert said.ledger.store == store
    assert "hunter2" not in repr(said.ledger)


def test_an_empty_variable_says_nothing() -> None:
    assert load_mesh(None, {"MESH_LEDGER_PATH": "", "LOCAL_MODELS_ENABLED": ""}) == load_mesh(None, {}, shipped())


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({"OLLAMA_BASE_URL": "http://box:9/"}, "http://box:9"),
        ({"OLLAMA_HOST": "box"}, "http://box:11434"),
        ({"OLLAMA_HOST": "box:99"}, "http://box:99"),
        ({"OLLAMA_HOST": "other", "OLLAMA_BASE_URL": "http://box"}, "http://box"),
        ({"OLLAMA_HOST": "other", "MESH_OLLAMA_ENDPOINT": "http://box"}, "http://box"),
    ],
)
def test_a_local_server_is_found_by_its_own_variables(env: dict[str, str], url: str) -> None:
    assert load_mesh(None, env).endpoint("ollama") == Endpoint(url)


def test_a_slots_own_endpoint_holds_unless_the_environment_overrules_all(tmp_path: Path) -> None:
    text = "vendors: {openai: {slots: {2: {account: second, endpoint: https://two.example/v1}}}}"
    assert mesh(tmp_path, text).endpoint("openai", 2) == Endpoint("https://two.example/v1")
    assert mesh(tmp_path, text).endpoint("openai", 1) == Endpoint("https://api.openai.com/v1")
    assert mesh(tmp_path, text, MESH_OPENAI_ENDPOINT="http://sim").endpoint("openai", 2) == Endpoint("http://sim")


@pytest.mark.parametrize("word", ["false", "0", "No", " OFF "])
def test_local_vendors_are_switched_off_by_one_variable(word: str) -> None:
    read = load_mesh(None, {"LOCAL_MODELS_ENABLED": word})
    assert not read.vendors["ollama"].enabled
    assert read.vendors["ollama"].disabled_by == "LOCAL_MODELS_ENABLED"
    assert read.vendors["groq"].enabled


@pytest.mark.parametrize(
    ("text", "env", "amount"),
    [
        ("", {}, 1),
        ("", {"OLLAMA_NUM_PARALLEL": "4"}, 4),
        ("", {"OLLAMA_NUM_PARALLEL": "0"}, 1),  # to the server: as you think best
        ("", {"OLLAMA_NUM_PARALLEL": " "}, 1),
        ("vendors: {ollama: {concurrency: 3}}", {}, 3),
        ("vendors: {ollama: {concurrency: 3}}", {"OLLAMA_NUM_PARALLEL": "4"}, 4),
        ("vendors: {ollama: {limits: {local: []}}}", {"OLLAMA_NUM_PARALLEL": "4"}, 4),
    ],
)
def test_a_local_server_takes_as_many_calls_at_one_time_as_is_said_for_it_itself(
    tmp_path: Path, text: str, env: dict[str, str], amount: int
) -> None:
    read = mesh(tmp_path, text, **env)
    (limit,) = read.plan("ollama", "local").limits
    assert (limit.unit, limit.window, limit.amount, limit.scope) == ("concurrency", Window("now"), amount, "account")
    assert (read.version != load_mesh(None, {}, shipped()).version) == bool(text or amount != 1)


def test_concurrency_is_one_more_limit_for_a_vendor_that_has_others(tmp_path: Path) -> None:
    usual = load_mesh(None, {}, shipped()).plan("groq", "free")
    read = mesh(tmp_path, "vendors: {groq: {concurrency: 20}}").plan("groq", "free")
    assert read.limits[:-1] == usual.limits
    assert (read.limits[-1].unit, read.limits[-1].amount, read.models) == ("concurrency", 20, usual.models)


def test_a_vendor_is_switched_off_in_the_file(tmp_path: Path) -> None:
    read = mesh(tmp_path, "vendors: {groq: {enabled: false}}")
    assert (read.vendors["groq"].enabled, read.vendors["groq"].disabled_by) == (False, "mesh.yaml")


def test_a_slot_has_the_account_plan_and_end_that_were_configured(tmp_path: Path) -> None:
    read = mesh(
        tmp_path,
        "vendors: {groq: {slots: {2: {account: team-b, plan: paid, expires_on: 2027-01-31}}, "
        "limits: {paid: [{unit: usd, window: once, amount: 5}]}}}",
    )
    assert read.slot("groq", 2) == Slot(2, "team-b", "paid", expires_on=date(2027, 1, 31))


def test_models_and_use_cases_of_the_file_join_the_catalogue(tmp_path: Path) -> None:
    read = mesh(
        tmp_path,
        """
vendors:
  groq:
    models:
      new/model: {price: {input: 1, output: 2}, source: https://example.com, date: 2026-11-20, short_names: [newest]}
use_cases:
  support: {candidates: {standard: [groq/newest]}, temperature: 0.5}
""",
    )
    assert [str(ref) for ref in read.catalog.resolve("newest")] == ["groq/new/model"]
    assert read.use_cases["support"].candidates == {"standard": ("groq/newest",)}
    assert "conversation" in read.use_cases
    assert read.version != load_mesh(None, {}, shipped()).version


def test_the_version_is_of_definitions_not_of_addresses(tmp_path: Path) -> None:
    plain = load_mesh(None, {}, shipped()).version
    assert load_mesh(None, {"MESH_GROQ_ENDPOINT": "http://sim", "MESH_ROUTER_ADDRESS": "r:1"}).version == plain
    assert mesh(tmp_path, "vendors: {groq: {limits: {free: []}}}").version != plain
    assert mesh(tmp_path, "tiers: {free: 0.01}").version != plain


def test_budgets_count_money_in_nano_dollars(tmp_path: Path) -> None:
    read = mesh(
        tmp_path,
        """
budgets:
  - {subject: tenant/alice, unit: usd, window: month Europe/Paris, amount: 12.34}
  - {subject: tenant/alice/use_case/quick, unit: requests, window: minute, amount: 5, hard: false}
""",
    )
    money, requests = read.budgets
    assert (money.unit, money.amount, money.hard) == ("nanodollars", 12_340_000_000, True)
    assert money.window == Window("calendar", per="month", zone="Europe/Paris")
    assert (requests.subject, requests.unit, requests.hard) == ("tenant/alice/use_case/quick", "requests", False)


def test_another_directory_of_rows_can_take_the_place_of_the_shipped_ones(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    shipped = Path(__file__).parents[3] / "catalog" / "ollama.yaml"
    (rows / "ollama.yaml").write_text(shipped.read_text())
    assert list(mesh(tmp_path, "catalog: rows").vendors) == ["ollama"]
    assert list(load_mesh(None, {"MESH_CATALOG": str(rows)}).vendors) == ["ollama"]


def test_the_file_is_found_by_its_variable_else_beside_us_else_not_at_all(tmp_path: Path) -> None:
    assert default_path({}, tmp_path) is None
    (tmp_path / "mesh.yaml").touch()
    assert default_path({}, tmp_path) == tmp_path / "mesh.yaml"
    assert default_path({"MESH_CONFIG": "/etc/mesh.yaml"}, tmp_path) == Path("/etc/mesh.yaml")


def test_the_files_of_tls_are_seen_from_mesh_yaml_and_those_of_the_environment_from_here(tmp_path: Path) -> None:
    text = "addresses: {router: {tls: {cert: r.pem, key: keys/r.key, client_ca: /ca.pem}}}"
    assert mesh(tmp_path, text).tls == ServerTls(tmp_path / "r.pem", tmp_path / "keys/r.key", Path("/ca.pem"))
    assert mesh(tmp_path, text, MESH_ROUTER_TLS_CERT="/other.pem").tls == ServerTls(
        Path("/other.pem"), tmp_path / "keys/r.key", Path("/ca.pem")
    )
    assert mesh(tmp_path, "").tls is None
