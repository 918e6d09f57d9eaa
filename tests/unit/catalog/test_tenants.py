"""tenants.yaml: what it may say, and how a mistake in it is reported."""

import datetime as dt

import pytest
from fixtures.shipped import shipped

from catalog.mesh import load_mesh
from catalog.tenants import NO_TENANTS, Tenant, load_tenants, permitted, read_pepper, with_tenants
from meshkit.yaml_file import ConfigError

HASH = "0" * 64
WHOLE = f"""
tenants:
  alice:
    budgets:
      - {{unit: usd, window: month Europe/Paris, amount: 20}}
    models: ["groq/*", openai/gpt-4o]
    use_cases: [conversation]
    default_tier: economy
    data_policy: no_training
    stream_guarantee: whole
    labels: {{team: search}}
  bob: {{}}
keys:
  - {{id: "0123456789ab", tenant: alice, hash: "{HASH}", scopes: [caller, operator], expires: 2027-03-31}}
  - {{id: "ba9876543210", tenant: bob, hash: "{HASH}", expires: 2027-03-31T18:00:00+02:00, created: 2026-11-29}}
"""


@pytest.fixture(scope="module")
def catalog():
    return shipped()


@pytest.fixture
def written(tmp_path):
    def write(text: str):
        path = tmp_path / "tenants.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_file_says_who_may_do_what(written, catalog):
    told = load_tenants(written(WHOLE), catalog)
    alice = told.tenants["alice"]
    assert (alice.models, alice.use_cases) == (("groq/*", "openai/gpt-4o"), ("conversation",))
    assert (alice.default_tier, alice.data_policy, alice.stream_guarantee) == ("economy", "no_training", "whole")
    assert dict(alice.labels) == {"team": "search"}
    (budget,) = told.budgets()
    assert (budget.subject, budget.unit, budget.amount) == ("tenant/alice", "nanodollars", 20_000_000_000)
    assert told.tenants["bob"] == Tenant("bob")
    assert told.keys["0123456789ab"].scopes == {"caller", "operator"}
    assert told.keys["ba9876543210"].scopes == {"caller"}


def test_a_day_ends_a_key_with_its_first_moment_in_utc(written, catalog):
    keys = load_tenants(written(WHOLE), catalog).keys
    assert keys["0123456789ab"].expires == dt.datetime(2027, 3, 31, tzinfo=dt.UTC)
    assert keys["ba9876543210"].expires == dt.datetime(2027, 3, 31, 16, tzinfo=dt.UTC)


def test_an_empty_file_has_nobody(written, catalog):
    assert load_tenants(written(""), catalog) == NO_TENANTS


MISTAKES = [
    ("tenants: {alice: {model: [x]}}", "tenants.alice.model: unknown key; allowed: "),
    ("tenants: {alice: {models: [nobody/nothing]}}", "tenants.alice.models.0: `nobody/nothing` is no model"),
    (
        "tenants: {alice: {use_cases: [gardening]}}",
        "tenants.alice.use_cases.0: unknown use case `gardening`; allowed: ",
    ),
    ("tenants: {alice: {default_tier: cheap}}", "tenants.alice.default_tier: `cheap` is not known"),
    ("tenants: {alice: {data_policy: none}}", "tenants.alice.data_policy: `none` is not known"),
    (
        "tenants: {alice: {labels: {Team: x}}}",
        "tenants.alice.labels: `Team` is no name of a label; allowed: 1 to 32 lower-case",
    ),
    ("tenants: {a/b: {}}", "tenants.a/b"),
    (
        "tenants: {a: {budgets: [{unit: usd, window: day, amount: 1}, {unit: usd, window: day, amount: 2}]}}",
        "tenants.a.budgets.1: limits usd per day of tenant a twice",
    ),
    (f'keys: [{{id: "0123456789ab", tenant: eve, hash: "{HASH}"}}]', "keys.0.tenant: unknown tenant `eve`"),
    (f'tenants: {{a: {{}}}}\nkeys: [{{id: xyz, tenant: a, hash: "{HASH}"}}]', "keys.0.id"),
    ('tenants: {a: {}}\nkeys: [{id: "0123456789ab", tenant: a, hash: abc}]', "keys.0.hash"),
    (
        f'tenants: {{a: {{}}}}\nkeys:\n  - &k {{id: "0123456789ab", tenant: a, hash: "{HASH}"}}\n  - *k',
        "keys.1.id: the key 0123456789ab is there twice",
    ),
    (
        f'tenants: {{a: {{}}}}\nkeys: [{{id: "0123456789ab", tenant: a, hash: "{HASH}", scopes: [root]}}]',
        "keys.0.scopes.0",
    ),
]


@pytest.mark.parametrize(("text", "told"), MISTAKES, ids=[told for _, told in MISTAKES])
def test_a_mistake_is_told_with_its_file_and_key(written, catalog, text, told):
    path = written(text)
    with pytest.raises(ConfigError) as caught:
        load_tenants(path, catalog)
    assert str(caught.value).startswith(f"{path}:")
    assert told in str(caught.value)


def test_budgets_of_tenants_become_budgets_of_the_mesh_under_another_version(written, tmp_path):
    path = written(WHOLE)
    config = tmp_path / "mesh.yaml"
    config.write_text("tenants: tenants.yaml\nbudgets: [{subject: tenant/eve, unit: usd, window: day, amount: 1}]\n")
    mesh = load_mesh(config, {})
    assert mesh.tenants == path
    with_them = with_tenants(mesh)
    assert [row.subject for row in with_them.budgets] == ["tenant/eve", "tenant/alice"]
    assert with_them.version != mesh.version
    path.write_text(WHOLE.replace("amount: 20", "amount: 21"))
    assert with_tenants(mesh).version != with_them.version


def test_a_budget_that_both_files_name_is_refused(written, tmp_path):
    written(WHOLE)
    config = tmp_path / "mesh.yaml"
    row = "{subject: tenant/alice, unit: usd, window: month Europe/Paris, amount: 1}"
    config.write_text(f"tenants: tenants.yaml\nbudgets: [{row}]\n")
    with pytest.raises(ConfigError, match=r"of tenant/alice, as `budgets` of mesh\.yaml does"):
        with_tenants(load_mesh(config, {}))


def test_without_a_tenants_file_nothing_changes():
    mesh = load_mesh(None, {})
    assert with_tenants(mesh) is mesh


def test_the_environment_names_the_file_too(tmp_path):
    assert load_mesh(None, {"MESH_TENANTS": str(tmp_path / "t.yaml")}).tenants == tmp_path / "t.yaml"


def test_the_pepper_is_in_the_environment_or_in_the_file_beside(written):
    path = written("")
    with pytest.raises(ConfigError, match=r"tenants\.pepper: cannot be read: .*MESH_KEY_PEPPER"):
        read_pepper(path, {})
    path.with_suffix(".pepper").write_text("from the file, long enough\n")
    assert read_pepper(path, {}).reveal() == "from the file, long enough"
    assert read_pepper(path, {"MESH_KEY_PEPPER": "from the environment"}).reveal() == "from the environment"
    with pytest.raises(ConfigError, match="MESH_KEY_PEPPER: is too short; allowed: at least 16"):
        read_pepper(path, {"MESH_KEY_PEPPER": "short"})


def test_patterns_name_models_and_no_patterns_name_all():
    assert permitted((), "groq/any")
    assert permitted(("groq/*",), "groq/openai/gpt-oss-120b")
    assert not permitted(("groq/*", "openai/gpt-4o"), "openai/gpt-4o-mini")


CERTIFIED = """
tenants: {alice: {}}
certificates:
  - {name: "spiffe://mesh.example/search", tenant: alice}
  - {name: Search.Example, tenant: alice, scopes: [operator]}
"""


def test_names_of_certificates_stand_for_tenants_and_the_case_of_dns_names_says_nothing(written, catalog):
    told = load_tenants(written(CERTIFIED), catalog).certificates
    assert told["spiffe://mesh.example/search"].scopes == {"caller"}
    assert told["search.example"].scopes == {"operator"}
    assert {certificate.tenant for certificate in told.values()} == {"alice"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ("Search.Example", '"*.example"'),
            r"certificates\.1\.name: `\*\.example` is no name of a certificate; allowed: a DNS",
        ),
        (("Search.Example", '"spiffe://a b"'), r"certificates\.1\.name: `spiffe://a b` is no name"),
        (
            ("Search.Example", '"spiffe://mesh.example/search"'),
            r"certificates\.1\.name: the name spiffe://\S+ is there twice",
        ),
        (("alice, scopes", "eve, scopes"), r"certificates\.1\.tenant: unknown tenant `eve`; allowed: alice"),
    ],
)
def test_a_mistake_in_a_certificate_is_named(written, catalog, change, told):
    with pytest.raises(ConfigError, match=told):
        load_tenants(written(CERTIFIED.replace(*change)), catalog)
