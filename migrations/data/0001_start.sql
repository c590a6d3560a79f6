-- How far each flow has got. A bookmark moves in the transaction that merges what it covers. A flow
-- that reads several parts, each with its own order, has one for each.
CREATE TABLE _tidegate_bookmarks (
    flow       TEXT NOT NULL,
    part       TEXT NOT NULL DEFAULT '',  -- the account and the item read, if there are several
    kind       TEXT NOT NULL,             -- integer, instant, civil, text; delta: a link or word of the source
    value      TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    run        INTEGER,
    owes_sweep INTEGER NOT NULL DEFAULT 0, -- 1 while rows a whole read did not bring are still to be deleted
    PRIMARY KEY (flow, part)
) STRICT;

-- Where reads were broken off. A position is kept in the transaction that merges the page before it.
CREATE TABLE _tidegate_positions (
    flow    TEXT NOT NULL,
    part    TEXT NOT NULL DEFAULT '',     -- as in _tidegate_bookmarks
    asks    TEXT NOT NULL,                -- a digest of what the flow asks for
    state   TEXT NOT NULL CHECK (json_valid(state)),
    kept_at TEXT NOT NULL,
    run     INTEGER,
    PRIMARY KEY (flow, part)
) STRICT;

-- What ran, why, and how it ended; also the slots that did not run, with the reason.
CREATE TABLE _tidegate_runs (
    run         INTEGER PRIMARY KEY AUTOINCREMENT,
    flow        TEXT NOT NULL,
    trigger     TEXT NOT NULL,            -- scheduled, catch_up, manual, resume
    slot_at     TEXT,                     -- the slot that was due
    started_at  TEXT NOT NULL,
    ended_at    TEXT,
    outcome     TEXT,                     -- succeeded, failed, interrupted, parked, skipped; NULL while it runs
    pages       INTEGER NOT NULL DEFAULT 0,
    records     INTEGER NOT NULL DEFAULT 0,
    inserted    INTEGER NOT NULL DEFAULT 0,
    updated     INTEGER NOT NULL DEFAULT 0,
    unchanged   INTEGER NOT NULL DEFAULT 0,
    deleted     INTEGER NOT NULL DEFAULT 0,
    restored    INTEGER NOT NULL DEFAULT 0,
    bytes       INTEGER NOT NULL DEFAULT 0,
    requests    INTEGER NOT NULL DEFAULT 0,
    bookmark    TEXT,                     -- where the run started reading
    error       TEXT,                     -- what failed and why
    hint        TEXT,                     -- what to do about it
    remedy      TEXT,                     -- wait, login, edit_config, report
    resumes_at  TEXT,                     -- when a parked run goes on
    notes       TEXT                      -- what else is worth knowing, a line each
) STRICT;
CREATE INDEX _tidegate_runs_by_flow ON _tidegate_runs (flow, run);

-- What the scheduler must remember of a flow across restarts.
CREATE TABLE _tidegate_flows (
    flow          TEXT NOT NULL PRIMARY KEY,
    first_seen_at TEXT NOT NULL,
    last_slot_at  TEXT                    -- the latest slot that was started, skipped or caught up
) STRICT;

-- Rows that the last whole read did not bring: gone if the next does not either.
CREATE TABLE _tidegate_absences (
    "table"    TEXT NOT NULL COLLATE NOCASE,
    account    TEXT NOT NULL,             -- whose row it is, where the table tells
    key        TEXT NOT NULL,             -- the values of the primary key, a JSON array
    item       TEXT NOT NULL,             -- the values of the columns of `with`, likewise
    run        INTEGER NOT NULL,          -- which read that was
    noticed_at TEXT NOT NULL,
    PRIMARY KEY ("table", account, key)
) STRICT, WITHOUT ROWID;

-- What each column of a flow's table holds. Names are compared as SQLite compares them.
CREATE TABLE _tidegate_columns (
    "table"  TEXT NOT NULL COLLATE NOCASE,
    name     TEXT NOT NULL COLLATE NOCASE,
    field    TEXT NOT NULL,               -- the source field
    kind     TEXT NOT NULL,               -- integer, real, decimal, text, boolean, date, timestamp, json, guid, unknown
    declared INTEGER NOT NULL,            -- 1 if the configuration says so, 0 if learnt
    PRIMARY KEY ("table", name)
) STRICT;

-- What is known of the calls each source still allows, for each tenant with limits of its own.
CREATE TABLE _tidegate_limits (
    connection TEXT NOT NULL,
    tenant     TEXT NOT NULL,             -- '' where all share one
    known      TEXT NOT NULL CHECK (json_valid(known)),
    updated_at TEXT NOT NULL,
    PRIMARY KEY (connection, tenant)
) STRICT;
