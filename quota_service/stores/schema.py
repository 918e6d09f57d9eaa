"""The tables of the SQLite store; strict, and keyed by what the ledger looks up."""

SCHEMA_VERSION = 3

TABLES = """
-- One key of one budget's window. `forgotten` is what holds no longer kept had settled here, `base_*` what journal
-- lines no longer kept had moved: so `used` and `held` can always be recomputed, twice over.
CREATE TABLE budget_window (
    budget TEXT NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, counts_until INTEGER NOT NULL,
    used INTEGER NOT NULL, held INTEGER NOT NULL, external INTEGER NOT NULL, vendor_limit INTEGER,
    forgotten INTEGER NOT NULL, base_used INTEGER NOT NULL DEFAULT 0, base_held INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (budget, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE hold (
    attempt_id TEXT NOT NULL PRIMARY KEY, fingerprint INTEGER NOT NULL, tenant TEXT NOT NULL, use_case TEXT NOT NULL,
    offer TEXT NOT NULL, vendor TEXT NOT NULL, model TEXT NOT NULL, plan TEXT NOT NULL, version INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost_nanos INTEGER NOT NULL,
    created INTEGER NOT NULL, expires INTEGER NOT NULL, passed_over TEXT NOT NULL, state TEXT NOT NULL,
    outcome TEXT NOT NULL, ended INTEGER NOT NULL, settlement INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    charged_requests INTEGER NOT NULL, charged_input INTEGER NOT NULL, charged_output INTEGER NOT NULL,
    charged_nanos INTEGER NOT NULL, requests INTEGER NOT NULL DEFAULT 1
) STRICT, WITHOUT ROWID;

CREATE TABLE leg (
    attempt_id TEXT NOT NULL, number INTEGER NOT NULL, budget TEXT NOT NULL, start INTEGER NOT NULL,
    held INTEGER NOT NULL, used INTEGER NOT NULL,
    PRIMARY KEY (attempt_id, number)
) STRICT, WITHOUT ROWID;

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

-- Appended only; `moves` is a JSON list of [budget, start, used, held].
CREATE TABLE journal (
    seq INTEGER NOT NULL PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, attempt_id TEXT NOT NULL,
    note TEXT NOT NULL, moves TEXT NOT NULL
) STRICT, WITHOUT ROWID;

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

HOLD_UPSERT = (
    "INSERT OR REPLACE INTO hold VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
HOLD_DELETE = "DELETE FROM hold WHERE attempt_id = ?"
HOLDS = "SELECT * FROM hold ORDER BY ended, attempt_id"

LEG_UPSERT = "INSERT OR REPLACE INTO leg VALUES (?, ?, ?, ?, ?, ?)"
LEG_DELETE = "DELETE FROM leg WHERE attempt_id = ?"
LEGS = "SELECT attempt_id, budget, start, held, used FROM leg ORDER BY attempt_id, number"

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

JOURNAL_APPEND = "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?)"
JOURNAL_END = "SELECT COALESCE(MAX(seq), 0) FROM journal"
# The last line to let go of: old ones and those beyond the bound, at most so many at once.
JOURNAL_CUT = """
SELECT MAX(seq) FROM (SELECT seq, at FROM journal ORDER BY seq LIMIT :at_once)
WHERE at < :before OR seq <= :beyond
"""
JOURNAL_FOLD = """
UPDATE budget_window SET base_used = base_used + gone.used, base_held = base_held + gone.held
FROM (
    SELECT json_extract(move.value, '$[0]') AS budget, json_extract(move.value, '$[1]') AS start,
        SUM(json_extract(move.value, '$[2]')) AS used, SUM(json_extract(move.value, '$[3]')) AS held
    FROM journal, json_each(journal.moves) AS move WHERE journal.seq <= ? GROUP BY 1, 2
) AS gone
WHERE budget_window.budget = gone.budget AND budget_window.start = gone.start
"""
JOURNAL_TRIM = "DELETE FROM journal WHERE seq <= ?"

ANYTHING = "SELECT EXISTS(SELECT 1 FROM journal) OR EXISTS(SELECT 1 FROM hold) OR EXISTS(SELECT 1 FROM spend)"

META_WRITE = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
META = "SELECT name, value FROM meta"

# Each finds windows whose figures are not the sum of what is behind them (I2).
AUDITS = {
    "the journal": """
WITH moved AS (
    SELECT json_extract(move.value, '$[0]') AS budget, json_extract(move.value, '$[1]') AS start,
        SUM(json_extract(move.value, '$[2]')) AS used, SUM(json_extract(move.value, '$[3]')) AS held
    FROM journal, json_each(journal.moves) AS move GROUP BY 1, 2
)
SELECT w.budget, w.start, w.used, w.held, w.base_used + COALESCE(moved.used, 0), w.base_held + COALESCE(moved.held, 0)
FROM budget_window AS w LEFT JOIN moved ON moved.budget = w.budget AND moved.start = w.start
""",
    "the holds": """
WITH summed AS (
    SELECT leg.budget, leg.start, SUM(leg.used) AS used,
        SUM(CASE hold.state WHEN 'held' THEN leg.held ELSE 0 END) AS held
    FROM leg JOIN hold ON hold.attempt_id = leg.attempt_id GROUP BY 1, 2
)
SELECT w.budget, w.start, w.used, w.held, w.forgotten + COALESCE(summed.used, 0), COALESCE(summed.held, 0)
FROM budget_window AS w LEFT JOIN summed ON summed.budget = w.budget AND summed.start = w.start
""",
}
