"""The tables of the SQLite store; strict, and keyed by what the ledger looks up."""

SCHEMA_VERSION = 4

TABLES = """
-- One key of one budget's window. `forgotten` is what holds no longer kept had settled here, `base_*` what journal
-- lines no longer kept had moved: so `used` and `held` can always be recomputed, twice over.
CREATE TABLE budget_window (
    budget TEXT NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, counts_until INTEGER NOT NULL,
    used INTEGER NOT NULL, held INTEGER NOT NULL, external INTEGER NOT NULL, vendor_limit INTEGER,
    forgotten INTEGER NOT NULL, base_used INTEGER NOT NULL DEFAULT 0, base_held INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (budget, start)
) STRICT, WITHOUT ROWID;

-- A hold as it was made, in the order holds were made; `legs` is a JSON list of [budget, start].
CREATE TABLE hold (
    number INTEGER NOT NULL PRIMARY KEY, attempt_id TEXT NOT NULL, fingerprint INTEGER NOT NULL,
    version INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, offer TEXT NOT NULL,
    requests INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL, passed_over TEXT NOT NULL, legs TEXT NOT NULL, tenant TEXT NOT NULL,
    use_case TEXT NOT NULL, vendor TEXT NOT NULL, model TEXT NOT NULL, plan TEXT NOT NULL
) STRICT;

-- How a hold ended; an open one has none.
CREATE TABLE ending (
    number INTEGER NOT NULL PRIMARY KEY, state TEXT NOT NULL, outcome TEXT NOT NULL, ended INTEGER NOT NULL,
    settlement INTEGER NOT NULL, unpriced INTEGER NOT NULL, charged_requests INTEGER NOT NULL,
    charged_input INTEGER NOT NULL, charged_output INTEGER NOT NULL, charged_nanos INTEGER NOT NULL
) STRICT;

CREATE TABLE spend (
    day TEXT NOT NULL, tenant TEXT NOT NULL, use_case TEXT NOT NULL, vendor TEXT NOT NULL, model TEXT NOT NULL,
    plan TEXT NOT NULL, outcome TEXT NOT NULL, labels TEXT NOT NULL, attempts INTEGER NOT NULL,
    requests INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL, assumed INTEGER NOT NULL,
    PRIMARY KEY (day, tenant, use_case, vendor, model, plan, outcome, labels)
) STRICT, WITHOUT ROWID;

CREATE TABLE closure (
    subject TEXT NOT NULL PRIMARY KEY, until INTEGER NOT NULL, reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Appended only, a row for each batch; `seq` is the number of its last line, `cells` and `lines` are JSON (journal.py).
CREATE TABLE journal (
    seq INTEGER NOT NULL PRIMARY KEY, at INTEGER NOT NULL, cells TEXT NOT NULL, lines TEXT NOT NULL
) STRICT;

-- Limits that count instead of declared ones; `until` is the end of time when they do so for ever.
CREATE TABLE override (
    budget TEXT NOT NULL PRIMARY KEY, amount INTEGER NOT NULL, author TEXT NOT NULL, reason TEXT NOT NULL,
    made INTEGER NOT NULL, until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""
# What makes tables of each version those of the next.
UPGRADES = {
    1: "ALTER TABLE hold ADD COLUMN requests INTEGER NOT NULL DEFAULT 1",
    2: """
CREATE TABLE override (
    budget TEXT NOT NULL PRIMARY KEY, amount INTEGER NOT NULL, author TEXT NOT NULL, reason TEXT NOT NULL,
    made INTEGER NOT NULL, until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
ALTER TABLE spend RENAME TO spend_before;
CREATE TABLE spend (
    day TEXT NOT NULL, tenant TEXT NOT NULL, use_case TEXT NOT NULL, vendor TEXT NOT NULL, model TEXT NOT NULL,
    plan TEXT NOT NULL, outcome TEXT NOT NULL, labels TEXT NOT NULL, attempts INTEGER NOT NULL,
    requests INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL, assumed INTEGER NOT NULL,
    PRIMARY KEY (day, tenant, use_case, vendor, model, plan, outcome, labels)
) STRICT, WITHOUT ROWID;
INSERT INTO spend SELECT day, tenant, use_case, vendor, model, plan, outcome, '', attempts, requests, input_tokens,
    output_tokens, cost_nanos, assumed FROM spend_before;
DROP TABLE spend_before
""",
    3: """
ALTER TABLE hold RENAME TO hold_before;
ALTER TABLE journal RENAME TO journal_before;
CREATE TABLE hold (
    number INTEGER NOT NULL PRIMARY KEY, attempt_id TEXT NOT NULL, fingerprint INTEGER NOT NULL,
    version INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, offer TEXT NOT NULL,
    requests INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL, passed_over TEXT NOT NULL, legs TEXT NOT NULL, tenant TEXT NOT NULL,
    use_case TEXT NOT NULL, vendor TEXT NOT NULL, model TEXT NOT NULL, plan TEXT NOT NULL
) STRICT;
CREATE TABLE ending (
    number INTEGER NOT NULL PRIMARY KEY, state TEXT NOT NULL, outcome TEXT NOT NULL, ended INTEGER NOT NULL,
    settlement INTEGER NOT NULL, unpriced INTEGER NOT NULL, charged_requests INTEGER NOT NULL,
    charged_input INTEGER NOT NULL, charged_output INTEGER NOT NULL, charged_nanos INTEGER NOT NULL
) STRICT;
CREATE TABLE journal (
    seq INTEGER NOT NULL PRIMARY KEY, at INTEGER NOT NULL, cells TEXT NOT NULL, lines TEXT NOT NULL
) STRICT;
INSERT INTO hold SELECT ROW_NUMBER() OVER (ORDER BY created, attempt_id), attempt_id, fingerprint, version, created,
    expires, offer, requests, input_tokens, output_tokens, cost_nanos, passed_over,
    (SELECT json_group_array(json_array(budget, start)) FROM
        (SELECT budget, start FROM leg WHERE leg.attempt_id = hold_before.attempt_id ORDER BY number)),
    tenant, use_case, vendor, model, plan
FROM hold_before;
INSERT INTO ending SELECT number, state, outcome, ended, settlement, unpriced, charged_requests, charged_input,
    charged_output, charged_nanos
FROM hold_before JOIN hold ON hold.attempt_id = hold_before.attempt_id WHERE state <> 'held';
INSERT INTO journal SELECT seq, at,
    (SELECT json_array(json_group_array(
        json_array(json_extract(move.value, '$[0]'), json_extract(move.value, '$[1]'), move.key)
    )) FROM json_each(moves) AS move),
    (SELECT json_array(json_array(kind, attempt_id, note, 0, json_group_array(json_extract(move.value, '$[2]')),
        json_group_array(json_extract(move.value, '$[3]')))) FROM json_each(moves) AS move)
FROM journal_before;
DROP TABLE leg;
DROP TABLE hold_before;
DROP TABLE journal_before
""",
}

WINDOW_UPSERT = """
INSERT INTO budget_window (budget, start, end, counts_until, used, held, external, vendor_limit, forgotten)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET used = excluded.used, held = excluded.held, external = excluded.external,
    vendor_limit = excluded.vendor_limit, forgotten = excluded.forgotten
"""
WINDOW_DELETE = "DELETE FROM budget_window WHERE budget = ? AND start = ?"
WINDOWS = """
SELECT budget, start, end, counts_until, used, held, external, vendor_limit, forgotten
FROM budget_window ORDER BY budget, start
"""

HOLD_INSERT = "INSERT INTO hold VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
HOLD_EXTEND = "UPDATE hold SET expires = ? WHERE number = ?"
HOLDS_DELETE = "DELETE FROM hold WHERE number BETWEEN ? AND ?"
ENDING_UPSERT = "INSERT OR REPLACE INTO ending VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
ENDINGS_DELETE = "DELETE FROM ending WHERE number BETWEEN ? AND ?"
HOLDS = """
SELECT hold.*, ending.state, outcome, ended, settlement, unpriced, charged_requests, charged_input, charged_output,
    charged_nanos
FROM hold LEFT JOIN ending USING (number) ORDER BY ended, number
"""

SPEND_ADD = """
INSERT INTO spend VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET attempts = attempts + excluded.attempts, requests = requests + excluded.requests,
    input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,
    cost_nanos = cost_nanos + excluded.cost_nanos, assumed = assumed + excluded.assumed
"""
SPEND_SUMS = """
SELECT {group} SUM(attempts), SUM(requests), SUM(input_tokens), SUM(output_tokens), SUM(cost_nanos), SUM(assumed)
FROM spend
WHERE (attempts OR requests OR input_tokens OR output_tokens OR cost_nanos OR assumed)
    AND (:from_day = '' OR day >= :from_day) AND (:to_day = '' OR day <= :to_day)
    AND (:tenant = '' OR tenant = :tenant)
{grouping}
"""
SPEND_TRIM = "DELETE FROM spend WHERE day < ?"
LABELS = "SELECT DISTINCT day, labels FROM spend WHERE day >= ? AND labels <> ''"

CLOSURE_UPSERT = "INSERT OR REPLACE INTO closure VALUES (?, ?, ?)"
CLOSURE_DELETE = "DELETE FROM closure WHERE subject = ?"
CLOSURES = "SELECT subject, until, reason FROM closure"

OVERRIDE_INSERT = "INSERT INTO override VALUES (?, ?, ?, ?, ?, ?)"
OVERRIDES_CLEAR = "DELETE FROM override"
OVERRIDES = "SELECT budget, amount, author, reason, made, until FROM override"

JOURNAL_APPEND = "INSERT INTO journal VALUES (?, ?, ?, ?)"
JOURNAL_END = "SELECT COALESCE(MAX(seq), 0) FROM journal"
JOURNAL = "SELECT cells, lines FROM journal WHERE seq <= ? ORDER BY seq"
# The last row to let go of: with old lines and those beyond the bound, at most so many at once.
JOURNAL_CUT = """
SELECT MAX(seq) FROM journal WHERE seq <= (SELECT MIN(seq) FROM journal) + :at_once AND (at < :before OR seq <= :beyond)
"""
JOURNAL_FOLD = (
    "UPDATE budget_window SET base_used = base_used + ?, base_held = base_held + ? WHERE budget = ? AND start = ?"
)
JOURNAL_TRIM = "DELETE FROM journal WHERE seq <= ?"
BASES = "SELECT budget, start, used, held, base_used, base_held FROM budget_window ORDER BY budget, start"

ANYTHING = "SELECT EXISTS(SELECT 1 FROM journal) OR EXISTS(SELECT 1 FROM hold) OR EXISTS(SELECT 1 FROM spend)"

META_WRITE = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
META = "SELECT name, value FROM meta"
