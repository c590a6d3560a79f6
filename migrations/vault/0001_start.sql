-- Which keys this vault has known. The check value tells a wrong key from damage.
CREATE TABLE root_keys (
    key_id      INTEGER PRIMARY KEY,
    check_value BLOB NOT NULL,
    created_at  TEXT NOT NULL
) STRICT;

-- One random data key per connection, wrapped by the root key.
CREATE TABLE data_keys (
    connection TEXT NOT NULL PRIMARY KEY,
    key_id     INTEGER NOT NULL REFERENCES root_keys,
    wrapped    BLOB NOT NULL
) STRICT;

-- The tokens of each connection and account, and nothing else: no other writer races a rotation.
CREATE TABLE credentials (
    connection         TEXT NOT NULL,
    account            TEXT NOT NULL DEFAULT '',
    generation         INTEGER NOT NULL,
    access_token       BLOB,
    refresh_token      BLOB,
    issued_at          TEXT NOT NULL,     -- when the request was sent that brought them
    expires_at         TEXT,              -- of the access token; NULL if the server never says
    refresh_expires_at TEXT,
    scope              TEXT,
    PRIMARY KEY (connection, account)
) STRICT;

-- Every exchange with a token endpoint: written before the request is sent, closed by its outcome.
CREATE TABLE refreshes (
    attempt     INTEGER PRIMARY KEY AUTOINCREMENT,
    connection  TEXT NOT NULL,
    account     TEXT NOT NULL DEFAULT '',
    generation  INTEGER NOT NULL,         -- the one being spent
    fingerprint BLOB,                     -- a keyed digest of the refresh token being spent
    kind        TEXT NOT NULL,            -- refresh, code, client_credentials
    intent_at   TEXT NOT NULL,
    tries       INTEGER NOT NULL DEFAULT 0,
    ended_at    TEXT,
    outcome     TEXT,                     -- committed, too_early, refused, not_sent, in_doubt
    detail      TEXT
) STRICT;
CREATE INDEX refreshes_open ON refreshes (connection, account) WHERE ended_at IS NULL;

-- What is known of a connection besides its tokens.
CREATE TABLE states (
    connection TEXT NOT NULL,
    account    TEXT NOT NULL DEFAULT '',
    state      TEXT NOT NULL,             -- ok, backing_off, in_doubt, needs_login, client_rejected, needs_attention, logged_out
    reason     TEXT,
    since      TEXT NOT NULL,
    next_at    TEXT,
    failures   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (connection, account)
) STRICT;

-- Facts of this vault: its identity, which is part of every seal.
CREATE TABLE facts (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
