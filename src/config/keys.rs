//! Every key the configuration knows, as data: the reader refuses all others, and a test holds the
//! example to them.

/// The keys of one kind of table.
pub(super) struct Keys {
    /// The table as a person would write it.
    pub(super) section: &'static str,
    /// Its keys.
    pub(super) names: &'static [&'static str],
    /// True if a misspelt key in it may hold a secret that must not be shown.
    pub(super) may_hold_secrets: bool,
}

const fn keys(section: &'static str, names: &'static [&'static str]) -> Keys {
    Keys {
        section,
        names,
        may_hold_secrets: false,
    }
}

/// The file itself.
pub(super) static ROOT: Keys = keys(
    "the file",
    &[
        "state_dir",
        "database",
        "max_concurrent",
        "keep_runs",
        "vault",
        "connection",
        "flow",
    ],
);
/// The vault.
pub(super) static VAULT: Keys = Keys {
    may_hold_secrets: true,
    ..keys("[vault]", &["key", "old_keys"])
};
/// A connection; a catalogue entry's variables come on top.
pub(super) static CONNECTION: Keys = Keys {
    section: "[connection.NAME]",
    names: &{
        const NAMES: [&str; ENTRANCE.len() + OAUTH.len() + SOURCE.len()] =
            joined([ENTRANCE, OAUTH, SOURCE]);
        NAMES
    },
    may_hold_secrets: true,
};
/// What stands first in a connection.
const ENTRANCE: &[&str] = &[
    "provider",
    "base_url",
    "base_url_domains",
    "token",
    "token_header",
    "token_scheme",
    "token_query",
    "basic",
    "session",
];
/// What only a connection with OAuth has.
pub(super) const OAUTH: &[&str] = &[
    "grant",
    "issuer",
    "authorize_url",
    "token_url",
    "refresh_url",
    "device_authorization_url",
    "pushed_authorization_request_url",
    "revocation_url",
    "facts",
    "userinfo_url",
    "jwks_url",
    "client_id",
    "client_secret",
    "client_auth",
    "private_key",
    "certificate",
    "certificate_to_api",
    "key_id",
    "signing_algorithm",
    "assertion_audience",
    "assertion_lifetime",
    "claims",
    "username",
    "password",
    "token_body",
    "pkce",
    "redirect_uri",
    "scopes",
    "scope_separator",
    "resource",
    "authorize_params",
    "token_params",
    "refresh",
    "default_lifetime",
    "token_types",
    "token_path",
    "errors",
];
/// What a connection says about the source itself.
const SOURCE: &[&str] = &[
    "headers",
    "allow_hosts",
    "time_zone",
    "limits",
    "limit_headers",
    "reserve",
    "error_budget",
    "concurrency",
    "response_rules",
    "paging",
    "timeout",
];

/// Puts lists of keys one behind the other; they have `N` keys together.
const fn joined<const N: usize>(lists: [&[&'static str]; 3]) -> [&'static str; N] {
    let mut names = [""; N];
    let (mut list, mut at, mut filled) = (0, 0, 0);
    while list < lists.len() {
        if at < lists[list].len() {
            names[filled] = lists[list][at];
            filled += 1;
            at += 1;
        } else {
            list += 1;
            at = 0;
        }
    }
    names
}

/// A user name and a password.
pub(super) static BASIC: Keys = Keys {
    may_hold_secrets: true,
    ..keys("`basic`", &["username", "password"])
};
/// A login without OAuth.
pub(super) static SESSION: Keys = Keys {
    may_hold_secrets: true,
    ..keys(
        "`session`",
        &[
            "url",
            "method",
            "headers",
            "json",
            "form",
            "secrets",
            "token",
            "token_header",
            "token_cookie",
            "expires_in",
            "expires_at",
            "unit",
            "lifetime",
            "refresh",
        ],
    )
};
/// What gives a login without OAuth longer life.
pub(super) static SESSION_REFRESH: Keys = Keys {
    may_hold_secrets: true,
    ..keys(
        "`refresh` of a `session`",
        &["url", "method", "headers", "json", "form"],
    )
};
/// When tokens are refreshed.
pub(super) static REFRESH: Keys = keys(
    "`refresh`",
    &[
        "not_before",
        "target",
        "policy",
        "retry_in_doubt",
        "idle",
        "absolute",
        "limits",
    ],
);
/// One way in which a server's errors differ.
pub(super) static ERROR_RULE: Keys = keys("an entry of `errors`", &["error", "contains", "means"]);
/// Calls per window.
pub(super) static LIMIT: Keys = keys("an entry of `limits`", &["calls", "per"]);
/// Headers that tell of a window.
pub(super) static LIMIT_HEADERS: Keys = keys(
    "an entry of `limit_headers`",
    &["remaining", "usage", "limit", "reset", "per"],
);
/// What an answer means where its status alone does not tell.
pub(super) static RESPONSE_RULE: Keys = keys(
    "an entry of `response_rules`",
    &[
        "status", "header", "contains", "when", "action", "after", "message",
    ],
);
/// A header that a rule looks for.
pub(super) static RULE_HEADER: Keys = keys(
    "`header` of an entry of `response_rules`",
    &["name", "contains"],
);
/// How many refusals are forgiven.
pub(super) static ERROR_BUDGET: Keys = keys("`error_budget`", &["errors", "per"]);
/// Where a secret is.
pub(super) static SECRET: Keys = Keys {
    may_hold_secrets: true,
    ..keys("a secret", &["env", "file", "credential", "vault"])
};
/// A flow.
pub(super) static FLOW: Keys = keys(
    "[flow.NAME]",
    &[
        "connection",
        "accounts",
        "for_each",
        "with",
        "enabled",
        "schedule",
        "every",
        "time_zone",
        "timeout",
        "resume_within",
        "method",
        "url",
        "query",
        "first_page_query",
        "headers",
        "body",
        "tenant",
        "vars",
        "format",
        "records",
        "filter",
        "expand",
        "compute",
        "drop",
        "transform",
        "paging",
        "max_pages",
        "max_page_bytes",
        "response_rules",
        "cursor",
        "table",
        "key",
        "columns",
        "deletes",
        "tombstones",
        "delta",
    ],
);
/// What a flow is repeated for.
pub(super) static FOR_EACH: Keys = keys("`for_each`", &["sql", "list"]);
/// What is posted.
pub(super) static BODY: Keys = keys("`body`", &["json", "form", "graphql"]);
/// A GraphQL request.
pub(super) static GRAPHQL: Keys = keys("`graphql`", &["query", "variables", "partial"]);
/// Where the records of a body stand.
pub(super) static RECORDS: Keys = keys("`records`", &["path", "shape", "key_as", "header", "jq"]);
/// What a body is written in.
pub(super) static FORMAT: Keys = keys("`format`", &["csv"]);
/// How comma-separated values are written.
pub(super) static CSV: Keys = keys("`csv`", &["delimiter", "quote", "header", "empty"]);
/// An array in a record whose entries become records.
pub(super) static EXPAND: Keys = keys("`expand`", &["path", "parent", "prefix"]);
/// How a run reads only what changed.
pub(super) static CURSOR: Keys = keys(
    "`cursor`",
    &[
        "field",
        "filter",
        "lookback",
        "start",
        "ordered",
        "newest_first",
        "format",
        "window",
    ],
);
/// What becomes of rows that are gone.
pub(super) static DELETES: Keys = keys("`deletes`", &["mode", "sweep", "max", "purge_after"]);
/// How a source is asked for what changed.
pub(super) static DELTA: Keys = keys(
    "`delta`",
    &[
        "link",
        "token",
        "query",
        "header",
        "body",
        "continue_url",
        "every_page",
        "retention",
    ],
);
/// How a source tells that a row is gone.
pub(super) static TOMBSTONES: Keys = keys(
    "`tombstones`",
    &["field", "equals", "list", "key", "newer_by"],
);
/// A column with more than a name.
pub(super) static COLUMN: Keys = keys("a column", &["field", "type"]);
/// A parameter that fixes the page size.
pub(super) static PAGE_SIZE: Keys = keys("`size`", &["param", "value"]);
/// Paging by a URL.
pub(super) static NEXT_URL: Keys = keys(
    "paging style \"next_url\"",
    &["style", "path", "from_header", "stop", "restart_after"],
);
/// Paging by an opaque word.
pub(super) static BY_CURSOR: Keys = keys(
    "paging style \"cursor\"",
    &[
        "style",
        "path",
        "from_header",
        "query",
        "header",
        "body",
        "more",
        "continue_url",
        "stop",
        "restart_after",
    ],
);
/// Paging by an object of parameters.
pub(super) static BY_CONTINUE: Keys = keys(
    "paging style \"continue\"",
    &["style", "path", "stop", "restart_after"],
);
/// Paging by page number.
pub(super) static BY_PAGE: Keys = keys(
    "paging style \"page\"",
    &[
        "style",
        "param",
        "first",
        "size",
        "total_records",
        "total_pages",
        "more",
        "short_page_ends",
        "past_end",
        "stop",
        "restart_after",
    ],
);
/// Paging by position.
pub(super) static BY_OFFSET: Keys = keys(
    "paging style \"offset\"",
    &[
        "style",
        "param",
        "first",
        "limit_param",
        "limit",
        "overlap",
        "total_records",
        "more",
        "short_page_ends",
        "past_end",
        "stop",
        "restart_after",
    ],
);
/// Paging by a value of the last record.
pub(super) static BY_KEYSET: Keys = keys(
    "paging style \"keyset\"",
    &[
        "style",
        "field",
        "query",
        "header",
        "body",
        "more",
        "stop",
        "restart_after",
    ],
);
/// Paging without settings, written as a table.
pub(super) static PAGING: Keys = keys("`paging`", &["style", "stop", "restart_after"]);
/// A table whose keys are the person's own.
pub(super) static FREE: Keys = keys("", &[]);

/// Returns the section of the file that has a key called `name`.
pub(super) fn section_of(name: &str) -> Option<&'static str> {
    [&ROOT, &VAULT, &CONNECTION, &FLOW]
        .into_iter()
        .find(|keys| keys.names.contains(&name))
        .map(|keys| {
            if keys.section == ROOT.section {
                "the top of the file"
            } else {
                keys.section
            }
        })
}

/// Every kind of table there is.
#[cfg(test)]
static ALL: &[&Keys] = &[
    &ROOT,
    &VAULT,
    &CONNECTION,
    &BASIC,
    &SESSION,
    &SESSION_REFRESH,
    &REFRESH,
    &ERROR_RULE,
    &LIMIT,
    &LIMIT_HEADERS,
    &ERROR_BUDGET,
    &RESPONSE_RULE,
    &RULE_HEADER,
    &SECRET,
    &FLOW,
    &FOR_EACH,
    &BODY,
    &GRAPHQL,
    &RECORDS,
    &FORMAT,
    &CSV,
    &EXPAND,
    &CURSOR,
    &DELETES,
    &DELTA,
    &TOMBSTONES,
    &COLUMN,
    &PAGE_SIZE,
    &NEXT_URL,
    &BY_CURSOR,
    &BY_PAGE,
    &BY_OFFSET,
    &BY_CONTINUE,
    &BY_KEYSET,
    &PAGING,
];

/// Returns every key there is, with its table.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALL.iter()
        .flat_map(|keys| keys.names.iter().map(|name| (keys.section, *name)))
}
