-- Facts of this vault: its identity, which is part of every seal.
CREATE TABLE facts (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Which keys this vault has known. The check value tells a wrong key from damage.
CREATE TABLE root_keys (
    key_id      INTEGER PRIMARY KEY,
    check_value BLOB NOT NULL,
    created_at  TEXT NOT NULL
) STRICT;

-- Random keys, wrapped by the root key. Each login of a connection makes a new one and drops the
-- old: a dropped key erases all it sealed. A sealed secret has a key of its own, in a row whose
-- connection is '' and whose account is the secret's name.
CREATE TABLE data_keys (
    data_key   INTEGER PRIMARY KEY AUTOINCREMENT,
    connection TEXT NOT NULL,
    account    TEXT NOT NULL DEFAULT '',
    root_key   INTEGER NOT NULL REFERENCES root_keys,
    wrapped    BLOB NOT NULL,
    generation INTEGER NOT NULL,          -- of the credential when the key was made
    created_at TEXT NOT NULL
) STRICT;

CREATE INDEX data_keys_of ON data_keys (connection, account);

-- The tokens of each connection and account, and nothing else: no other writer races a rotation.
CREATE TABLE credentials (
    connection         TEXT NOT NULL,
    account            TEXT NOT NULL DEFAULT '',
    generation         INTEGER NOT NULL,
    data_key           INTEGER NOT NULL REFERENCES data_keys,
    access_token       BLOB NOT NULL,
    refresh_token      BLOB,              -- NULL if the server gave none
    issued_at          TEXT NOT NULL,     -- when the request was sent that brought them
    expires_at         TEXT,              -- of the access token; NULL if it lasts until refused
    refresh_expires_at TEXT,              -- NULL if the server does not say
    rotates            INTEGER NOT NULL,  -- 1 once a refresh has brought a new refresh token
    refreshed          INTEGER NOT NULL,  -- 1 once a refresh has worked
    scope              TEXT,              -- as granted, if the server says
    signed_in_at       TEXT NOT NULL,     -- when the person signed in who granted this
    login_is_finite    INTEGER NOT NULL,  -- 1 once a refresh has not moved refresh_expires_at
    person             TEXT,              -- who signed in, as JSON, if that is known
    facts              TEXT,              -- what the server said beside the tokens, as JSON
    PRIMARY KEY (connection, account)
) STRICT;

-- Every exchange with a token endpoint: written before the request is sent, closed by its outcome.
-- An attempt that may have spent its refresh token stays open until a definite answer, and every
-- further try of that token is counted here before it is sent.
CREATE TABLE refreshes (
    attempt     INTEGER PRIMARY KEY AUTOINCREMENT,
    connection  TEXT NOT NULL,
    account     TEXT NOT NULL DEFAULT '',
    kind        TEXT NOT NULL,            -- refresh, code, device, import, client_credentials, password, jwt_bearer, session
    generation  INTEGER NOT NULL,         -- the one being spent
    data_key    INTEGER NOT NULL,         -- seals the answer
    fingerprint BLOB,                     -- a keyed digest of the refresh token being spent
    started_at  TEXT NOT NULL,
    tries       INTEGER NOT NULL,
    tried_at    TEXT NOT NULL,            -- when the last try was about to be sent
    counts_until TEXT,                    -- until when its tries count against a limit of the server
    doubt_at    TEXT,                     -- since when the refresh token may be spent
    ended_at    TEXT,
    outcome     TEXT,                     -- committed, not_sent, too_early, transient, configuration,
                                          -- unclassified, refused, lost, superseded
    detail      TEXT
) STRICT;
CREATE INDEX refreshes_open ON refreshes (connection, account) WHERE ended_at IS NULL;

-- How a connection stands, besides its tokens.
CREATE TABLE states (
    connection TEXT NOT NULL,
    account    TEXT NOT NULL DEFAULT '',
    state      TEXT NOT NULL,             -- ok, backing_off, in_doubt, needs_login, client_rejected, needs_attention
    reason     TEXT,
    detail     TEXT,
    since      TEXT NOT NULL,
    next_at    TEXT,                      -- nothing is sent before
    failures   INTEGER NOT NULL,          -- in a row
    written_at TEXT NOT NULL,
    rejected   BLOB,                      -- a keyed digest of the configuration that was rejected
    PRIMARY KEY (connection, account)
) STRICT;

-- What the authorization server of each connection says of itself (RFC 8414): kept so that a
-- refresh never waits for it, and so that a move to another host is noticed.
CREATE TABLE metadata (
    connection TEXT NOT NULL PRIMARY KEY,
    issuer     TEXT NOT NULL,
    document   TEXT NOT NULL,
    fetched_at TEXT NOT NULL
) STRICT;

-- The public keys of the authorization server of each connection (RFC 7517), and where they are from.
CREATE TABLE key_sets (
    connection TEXT NOT NULL PRIMARY KEY,
    url        TEXT NOT NULL,
    document   TEXT NOT NULL,
    fetched_at TEXT NOT NULL
) STRICT;

-- Secrets of the configuration that refers to them by name.
CREATE TABLE secrets (
    name     TEXT NOT NULL PRIMARY KEY,
    data_key INTEGER NOT NULL REFERENCES data_keys,
    value    BLOB NOT NULL,
    set_at   TEXT NOT NULL
) STRICT;

-- Tokens that came too late to be used: another credential stood in their place already. They are
-- kept until the server has revoked them.
CREATE TABLE orphans (
    orphan     INTEGER PRIMARY KEY AUTOINCREMENT,
    connection TEXT NOT NULL,
    account    TEXT NOT NULL DEFAULT '',
    generation INTEGER NOT NULL,          -- the one they were to follow
    data_key   INTEGER NOT NULL REFERENCES data_keys,
    answer     BLOB NOT NULL,             -- the answer of the token endpoint
    found_at   TEXT NOT NULL,
    tried_at   TEXT,                      -- when revoking was last tried
    detail     TEXT                       -- why that did not work
) STRICT;
