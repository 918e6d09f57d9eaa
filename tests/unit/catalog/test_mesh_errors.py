"""Every mistake in mesh.yaml is reported with its line and key, one in the environment with its variable."""

from pathlib import Path

import pytest
from fixtures.shipped import shipped

from catalog.mesh import load_mesh
from meshkit.yaml_file import ConfigError

Mistake = tuple[str, int, str, str, str]  # the text; the line, key, problem and what is allowed
MISTAKES: list[Mistake] = [
    ("ledger: {store: postgres}", 1, "ledger.store", "`postgres` is not known", "'sqlite' or 'redis'"),
    (
        "ledger: {url: 'http://store'}",
        1,
        "ledger.url",
        "is not the URL of a store",
        "redis://, rediss://, unix://, sentinel://, sentinels://",
    ),
    ("edge: {cors_origins: [app.example]}", 1, "edge.cors_origins.0", "`app.example` is no origin", "scheme://host"),
    ("edge: {cors_origins: ['https://app.example/']}", 1, "edge.cors_origins.0", "is no origin", "`*` for all"),
    ("addresses:\n  router:\n    tls: {cert: a}", 3, "addresses.router.tls", "only a part of what TLS", "cert and key"),
    ("addresses:\n  router:\n    tls: {client_ca: a}", 3, "addresses.router.tls", "only a part", "client_ca"),
    ("adresses: {}", 1, "adresses", "unknown key", "addresses"),
    ("vendors:\n  groqq: {}", 2, "vendors.groqq", "unknown vendor", "groq"),
    ("vendors:\n  groq:\n    plam: free", 3, "vendors.groq.plam", "unknown key", "slots"),
    ("vendors:\n  groq:\n    slots: {0: {}}", 3, "vendors.groq.slots.0", "`0` is no slot", "1, 2, 3"),
    ("vendors:\n  groq:\n    slots: {one: {}}", 3, "vendors.groq.slots.one", "`one` is no slot", "1, 2, 3"),
    ("vendors:\n  groq:\n    slots:\n      2: {plan: credit}", 4, "vendors.groq.slots.2.plan", "no plan", "free, paid"),
    ("vendors:\n  groq:\n    slots: {2: {plan: gratis}}", 3, "vendors.groq.slots.2.plan", "`gratis` is not", "'free'"),
    ("vendors:\n  groq:\n    slots: {2: {acount: a}}", 3, "vendors.groq.slots.2.acount", "unknown key", "account"),
    ("vendors:\n  groq:\n    slots: {2: paid}", 3, "vendors.groq.slots.2", "must be a mapping", "account, endpoint"),
    ("vendors:\n  groq:\n    slots: [paid]", 3, "vendors.groq.slots", "must be a mapping of keys", "key: value"),
    ("vendors:\n  groq:\n    slots: {2: {account: a/b}}", 3, "vendors.groq.slots.2.account", "no account", "letters"),
    (
        "vendors:\n  groq:\n    slots: {2: {account: ''}}",
        3,
        "vendors.groq.slots.2.account",
        "`` is no account",
        "digits",
    ),
    (
        "vendors:\n  groq:\n    slots: {2: {account: gsk_aaaaaaaaaaaaaaaa}}",
        3,
        "vendors.groq.slots.2.account",
        "looks like a key",
        "keys go into variables",
    ),
    (
        "vendors:\n  groq:\n    slots: {2: {expires_on: soon}}",
        3,
        "vendors.groq.slots.2.expires_on",
        "valid date",
        "",
    ),
    (
        "vendors:\n  groq:\n    slots: {2: {endpoint: https://a.test, region: eu}}",
        3,
        "vendors.groq.slots.2",
        "region and endpoint both say where to call",
        "one of the two",
    ),
    ("vendors: {groq: {endpoint: https://a.test, region: eu}}", 1, "vendors.groq.region", "both say where", "one of"),
    (
        "vendors: {groq: {endpoint: 'https://a.test:99999'}}",
        1,
        "vendors.groq.endpoint",
        "is not an endpoint",
        "[:port]",
    ),
    ("vendors: {groq: {endpoint: 'https://a.test?key=x'}}", 1, "vendors.groq.endpoint", "is not an endpoint", ""),
    ("vendors: {groq: {enabled: perhaps}}", 1, "vendors.groq.enabled", "valid boolean", ""),
    ("vendors: {groq: {models: {m: {source: s}}}}", 1, "vendors.groq.models.m.date", "required key is missing", ""),
    (
        "vendors: {groq: {deployments: {openai/gpt-oss-120b: ../x}}}",
        1,
        "vendors.groq.deployments.openai/gpt-oss-120b",
        "`../x` is no deployment",
        "as its account calls it",
    ),
    (
        "vendors:\n  groq:\n    slots:\n      2: {region: eu}",
        4,
        "vendors.groq.slots.2.region",
        "unknown region",
        "none",
    ),
    ("vendors: {groq: {region: eu}}", 1, "vendors.groq.region", "unknown region `eu`", "none"),
    ("vendors: {groq: {endpoint: groq.com}}", 1, "vendors.groq.endpoint", "is not an endpoint", "http(s)://"),
    ("vendors: {ollama: {concurrency: 0}}", 1, "vendors.ollama.concurrency", "`0` should be greater than 0", ""),
    ("vendors: {groq: {listen: groq}}", 1, "vendors.groq.listen", "no address to listen on", "host:port"),
    ("vendors: {groq: {deployments: {gpt: x}}}", 1, "vendors.groq.deployments.gpt", "unknown model", "gpt-oss-120b"),
    (
        "vendors:\n  groq:\n    limits:\n      free:\n        - {unit: requests, window: minute, amount: -3}",
        5,
        "vendors.groq.limits.free.0.amount",
        "greater than or equal to 0",
        "",
    ),
    (
        "vendors:\n  groq:\n    models:\n      m: {status: unknown, successor: n, source: s, date: 2026-11-20}",
        4,
        "vendors.groq.models.m.successor",
        "unknown successor `n`",
        "",
    ),
    ("use_cases:\n  s: {candidates: {free: [gpt-99]}}", 2, "use_cases.s.candidates.free.0", "unknown model", ""),
    (
        "use_cases:\n  s:\n    strategy: fastets",
        3,
        "use_cases.s.strategy",
        "`fastets` is not known, nearest: `fastest`",
        "'priority', 'cheapest', 'fastest', 'balanced', 'spread' or 'weighted'",
    ),
    ("use_cases:\n  s: {strategy: spread}", 2, "use_cases.s", "`spread` and `spread_share` go together", "both or"),
    ("use_cases:\n  s: {spread_share: 5}", 2, "use_cases.s", "`spread` and `spread_share` go together", "both or"),
    ("use_cases:\n  s: {strategy: spread, spread_share: 0}", 2, "use_cases.s.spread_share", "greater than 0", ""),
    ("use_cases:\n  s: {strategy: weighted}", 2, "use_cases.s", "`weighted` and `weights` go together", "both or"),
    ("use_cases:\n  s: {weights: {groq: 1}}", 2, "use_cases.s", "`weighted` and `weights` go together", "both or"),
    (
        "use_cases:\n  s:\n    strategy: weighted\n    weights:\n      grok: 1",
        5,
        "use_cases.s.weights.grok",
        "unknown vendor",
        "groq",
    ),
    (
        "use_cases:\n  s: {strategy: weighted, weights: {groq: 0}}",
        2,
        "use_cases.s.weights.groq",
        "greater than 0",
        "",
    ),
    ("use_cases:\n  s: {strategy: random}", 2, "use_cases.s.strategy", "`random` is not known", "'cheapest'"),
    ("use_cases:\n  s: {aliases: [quick]}", 2, "use_cases.s.aliases", "already names", ""),
    ("tiers: {economy: 5}", 1, "tiers", "a dearer tier allows less", "ultra_economy <= economy"),
    ("tiers: {economy: cheap}", 1, "tiers.economy", "valid number", ""),
    ("tiers: {gold: 5}", 1, "tiers.gold", "unknown key", "premium"),
    (
        "budgets:\n  - {subject: alice, unit: usd, window: day, amount: 1}",
        2,
        "budgets.0.subject",
        "is no subject",
        "tenant/<t>",
    ),
    (
        "budgets:\n  - {subject: use_case/nap, unit: usd, window: day, amount: 1}",
        2,
        "budgets.0.subject",
        "unknown use case `nap`",
        "conversation",
    ),
    (
        "budgets:\n" + "  - {subject: tenant/a, unit: usd, window: day, amount: 1}\n" * 2,
        3,
        "budgets.1",
        "limits usd per day of tenant/a twice",
        "",
    ),
    (
        "budgets:\n  - {subject: tenant/a, unit: usd, window: day, amount: 1, headroom: {gold: 0.1}}",
        2,
        "budgets.0.headroom.gold",
        "`gold` is not known",
        "'free'",
    ),
    (
        "budgets:\n  - {subject: tenant/a, unit: usd, window: day, amount: 1, headroom: {free: 1}}",
        2,
        "budgets.0.headroom.free",
        "less than 1",
        "",
    ),
    (
        "budgets:\n  - {subject: tenant/a, unit: usd, window: day, amount: 1, headroom: {free: 0.1, economy: 0.2}}",
        2,
        "budgets.0.headroom",
        "a dearer tier leaves more than a cheaper one",
        "free >= ultra_economy",
    ),
    (
        "budgets:\n  - {subject: tenant/a, unit: usd, window: day Europe/Pari, amount: 1}",
        2,
        "budgets.0.window",
        "unknown time zone `Europe/Pari`",
        "[IANA zone]",
    ),
    (
        "budgets:\n  - {subject: tenant/a, unit: usd, window: day}",
        2,
        "budgets.0",
        "an amount is needed, or the grants it is made of",
        "one of the two",
    ),
    (
        "budgets:\n  - {subject: tenant/a, unit: usd, window: day, grants: [{id: a, amount: 5}]}",
        2,
        "budgets.0",
        "grants per `day` make no sense",
        "window once",
    ),
    (
        "budgets:\n  - {subject: tenant/a, unit: usd, window: once, grants: [{id: a, amount: 5}, {id: a, amount: 1}]}",
        2,
        "budgets.0",
        "two grants have one id",
        "a name for each",
    ),
    (
        "budgets:\n  - {subject: tenant/a, unit: usd, window: once, grants: [{id: a, amount: 5, expires_on: soon}]}",
        2,
        "budgets.0.grants.0.expires_on",
        "valid date",
        "",
    ),
    (
        "vendors:\n  groq:\n    slots:\n      2: {plan: paid, expires_on: 2027-03-31}",
        4,
        "vendors.groq.slots.2.expires_on",
        "the plan `paid` has no one-off credit that could end",
        "window once in limits.paid",
    ),
    ("timeouts: {connect: 0}", 1, "timeouts.connect", "greater than 0", ""),
    ("timeouts: {short_wait: -1}", 1, "timeouts.short_wait", "greater than or equal to 0", ""),
    ("timeouts: {minimum_rate: fast}", 1, "timeouts.minimum_rate", "number", ""),
    ("timeouts: {first_token: {chat: -1}}", 1, "timeouts.first_token.chat", "greater than 0", ""),
    ("telemetry: {sample_ratio: 2}", 1, "telemetry.sample_ratio", "less than or equal to 1", ""),
    ("addresses: {router: {listen: 7400}}", 1, "addresses.router.listen", "valid string", ""),
    ("addresses: {router: {listen: ':7400'}}", 1, "addresses.router.listen", "no address", "host:port"),
    ("addresses: {router: {listen: 'h:70000'}}", 1, "addresses.router.listen", "no address", "host:port"),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake[2] + ":" + mistake[3])
def test_a_mistake_is_named_with_its_line_key_and_what_is_allowed(tmp_path: Path, mistake: Mistake) -> None:
    text, line, key, problem, allowed = mistake
    path = tmp_path / "mesh.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_mesh(path, {}, shipped())
    error = caught.value
    assert (error.file, error.line, error.key) == (str(path), line, key)
    assert problem in error.problem
    assert allowed in error.allowed


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("MESH_TRACE_SAMPLE_RATIO", "half", "valid number"),
        ("MESH_TRACE_SAMPLE_RATIO", "7", "less than or equal to 1"),
        ("MESH_LOG_LEVEL", "loud", "`loud` is not known; allowed: 'debug', 'info', 'warning' or 'error'"),
        ("MESH_QUOTA_ADDRESS", "quota", "no address to listen on"),
        ("MESH_QUOTA_LISTEN", "quota", "no address to listen on"),
        ("MESH_GROQ_ENDPOINT", "groq.com", "is not an endpoint"),
        ("MESH_PROVIDER_GROQ_ADDRESS", "groq", "no address to listen on"),
        ("LOCAL_MODELS_ENABLED", "maybe", "`maybe` is neither; allowed: true, false"),
        ("OLLAMA_BASE_URL", "localhost:abc", "`localhost:abc` is no address"),
        ("OLLAMA_BASE_URL", "http://local host", "is no address"),
        ("OLLAMA_HOST", "localhost:99999", "is no address"),
        ("OLLAMA_NUM_PARALLEL", "many", "valid integer"),
        ("OLLAMA_NUM_PARALLEL", "-1", "valid integer"),
        ("OLLAMA_BASE_URL", "http://localhost:abc", "`http://localhost:abc` is no address; allowed: http(s)://host"),
        ("OLLAMA_BASE_URL", "ftp://localhost", "`ftp://localhost` is no address"),
        ("OLLAMA_HOST", "my box", "`my box` is no address; allowed: http(s)://host[:port][/path] or host[:port]"),
        ("OLLAMA_HOST", "me:secret@box", "is no address"),
    ],
)
def test_a_mistake_in_the_environment_is_named_with_its_variable(variable: str, value: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_mesh(None, {variable: value}, shipped())
    assert str(caught.value).startswith(f"environment variable {variable}: ")
    assert problem in str(caught.value)


def test_a_file_that_was_named_and_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_mesh(tmp_path / "mehs.yaml", {})


KEY = "gsk_Zx81kPz0qLmQ2tYvR7cNd3bW5hJ6f4"
MISPLACED = [  # a key where it does not belong, in the file and in the environment
    (f"vendors: {{groq: {KEY}}}", {}),
    (f"vendors: {{groq: {{api_key: {KEY}}}}}", {}),
    (f"vendors: {{groq: {{slots: {{1: {KEY}}}}}}}", {}),
    (f"vendors: {{groq: {{slots: {{{KEY}: {{}}}}}}}}", {}),
    (f"vendors: {{groq: {{slots: {{1: {{account: {KEY}}}}}}}}}", {}),
    (f"vendors: {{groq: {{slots: {{1: {{plan: {KEY}}}}}}}}}", {}),
    (f"vendors: {{groq: {{region: {KEY}}}}}", {}),
    (f"vendors: {{groq: {{endpoint: {KEY}}}}}", {}),
    (f"vendors: {{groq: {{endpoint: 'https://{KEY}@host'}}}}", {}),
    (f"vendors: {{{KEY}: {{}}}}", {}),
    ("{}", {"MESH_GROQ_ENDPOINT": KEY}),
    ("{}", {"OLLAMA_BASE_URL": f"http://x?key={KEY}"}),
    ("{}", {"MESH_LOG_LEVEL": KEY}),
    ("{}", {"LOCAL_MODELS_ENABLED": KEY}),
]


@pytest.mark.parametrize(("text", "env"), MISPLACED)
def test_a_key_in_the_wrong_place_is_refused_without_being_shown(
    tmp_path: Path, text: str, env: dict[str, str]
) -> None:
    path = tmp_path / "mesh.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_mesh(path, env, shipped())
    assert not any(KEY[start : start + 8].casefold() in str(caught.value).casefold() for start in range(len(KEY) - 7))
