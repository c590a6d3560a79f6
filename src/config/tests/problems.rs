//! One problem at a time: its place, its words, its advice.

mod access;
mod flow;
mod grants;
mod rules;
mod shape;

use super::{CONNECTION, FLOW, House, with};

/// The only problem of a file as `line:column message | label | help`.
fn only_problem(text: &str) -> String {
    let report = House::of(text).load().expect_err(text);
    let problems: Vec<String> = report.problems().iter().map(shown).collect();
    assert_eq!(problems.len(), 1, "{text}\n{problems:#?}");
    problems.join("\n")
}

fn shown(problem: &super::Problem) -> String {
    let place = |number: Option<usize>| number.map_or("-".to_owned(), |number| number.to_string());
    format!(
        "{}:{} {} | {} | {}",
        place(problem.line),
        place(problem.column),
        problem.message,
        problem.label.as_deref().unwrap_or_default(),
        problem.help.as_deref().unwrap_or_default()
    )
}

fn check(cases: &[(String, &str, &str)]) {
    for (text, place, words) in cases {
        let problem = only_problem(text);
        assert!(
            problem.starts_with(&format!("{place} ")),
            "{problem} is not at {place}"
        );
        for part in words.split(" .. ") {
            assert!(problem.contains(part), "`{part}` is not in: {problem}");
        }
    }
}

#[test]
fn the_whole_program() {
    let file = |line: &str| format!("{line}\n{CONNECTION}");
    check(&[
        (
            file("max_concurent = 4"),
            "1:1",
            "unknown key `max_concurent` .. did you mean `max_concurrent`?",
        ),
        (
            file("schedule = \"0 6 * * *\""),
            "1:1",
            "`schedule` is a key of [flow.NAME]",
        ),
        (
            file("zebra = 1"),
            "1:1",
            "its keys are `state_dir`, `database`",
        ),
        (
            file("max_concurrent = \"4\""),
            "1:18",
            "`max_concurrent` is text .. from 1 to 64",
        ),
        (file("max_concurrent = 65"), "1:18", "out of range"),
        (
            file("keep_runs = \"90 days\""),
            "1:13",
            "is no duration: `90 days` .. such as \"15m\"",
        ),
        (
            file("keep_runs = \"1m\""),
            "1:13",
            "out of range .. expected 1h to",
        ),
        (file("state_dir = \"~/x\""), "1:13", "begins with `~`"),
        (file("database = \"\""), "1:12", "`database` is empty"),
        (
            file("vault = { key = \"abc\" }"),
            "1:17",
            "`key` is text .. not the key",
        ),
        (
            file("vault = { key = { fil = \"x\" } }"),
            "1:19",
            "did you mean `file`?",
        ),
        (
            file("vault = { key = { file = \"x\", env = \"Y\" } }"),
            "1:31",
            "a secret has one source",
        ),
        (
            file("vault = { key = {} }"),
            "1:17",
            "`key` names no source",
        ),
        (file("flow = 3"), "1:8", "`flow` is an integer .. a table"),
        (
            file("flow = { url = \"x\" }"),
            "1:1",
            "no name .. [flow.NAME]",
        ),
        (
            file("flow = { \"1st\" = {} }"),
            "1:10",
            "flow `1st` .. starts with a letter",
        ),
    ]);
}

#[test]
fn connections() {
    let more = |line: &str| with(line, "");
    check(&[
        (more("timeout = \"0s\""), "4:11", "out of range .. 1s to"),
        (
            more("time_zone = \"Europe/Amsterdm\""),
            "4:13",
            "did you mean \"Europe/Amsterdam\"?",
        ),
        (
            more("limits = { calls = 1 }"),
            "4:10",
            "`limits` is a table .. an array such as",
        ),
        (
            more("limits = [{ calls = 0, per = \"1m\" }]"),
            "4:21",
            "out of range",
        ),
        (more("limits = [{ calls = 5 }]"), "4:11", "has no `per`"),
        (
            more("reserve = \"100%\""),
            "4:11",
            "`reserve` is no share .. a share such as \"10%\"",
        ),
        (
            more("limit_headers = [{ remaining = \"a b\", per = \"1d\" }]"),
            "4:32",
            "`remaining` is no name of a header",
        ),
        (
            more("limit_headers = [{ remaining = \"X-Left\" }]"),
            "4:18",
            "has no `reset` .. or `per`",
        ),
        (
            more("limit_headers = [{ remaining = \"A\", usage = \"B\", per = \"1d\" }]"),
            "4:37",
            "told by `remaining` or by `usage`",
        ),
        (
            more("error_budget = { errors = 10 }"),
            "4:16",
            "`error_budget` has no `per`",
        ),
        (more("concurrency = 0"), "4:15", "out of range .. 1 to 64"),
        (
            more("headers = { \"a b\" = \"x\" }"),
            "4:13",
            "no header name",
        ),
        (
            more("headers = { A = \"x\\ny\" }"),
            "4:17",
            "one line of text",
        ),
        (
            more("headers = { authorization = \"x\" }"),
            "4:13",
            "not yours to set .. `token = { env",
        ),
        (
            more("headers = { A = \"{{ bookmark }}\" }"),
            "4:21",
            "uses `bookmark` .. known here are `now`",
        ),
        (
            more("allow_hosts = [\"a.example/x\"]"),
            "4:16",
            "has a path",
        ),
        (
            more("allow_hosts = [\"http://a.example\"]"),
            "4:16",
            "unencrypted",
        ),
        (
            more("client_id = \"me\""),
            "4:1",
            "`client_id` is for OAuth, but `token` is sent",
        ),
        (more("tokn_url = \"x\""), "4:1", "did you mean `token_url`?"),
        (more("country = \"nl\""), "4:1", "unknown key `country`"),
        (
            more("provider = \"xyz\""),
            "4:12",
            "no provider we know .. `tidegate providers` lists them",
        ),
        (
            more("provider = \"exact-onlin\""),
            "4:12",
            "no provider we know .. did you mean \"exact-online\"?",
        ),
        (
            more("provider = \"exact-online\"\ncountry = \"uk\""),
            "5:11",
            "cannot be `uk` .. co.uk",
        ),
        (
            more("provider = \"microsoft\"\ntenant = \"a/b\""),
            "5:10",
            "cannot be `a/b`",
        ),
        (
            CONNECTION.replace("https", "ftp"),
            "2:12",
            "neither an http nor an https URL",
        ),
        (
            CONNECTION.replace("https", "http"),
            "2:12",
            "secrets unencrypted .. 127.0.0.1",
        ),
        (
            CONNECTION.replace("api.", "me:pw@"),
            "2:12",
            "holds a user name",
        ),
        (
            CONNECTION.replace("env", "enw"),
            "3:11",
            "did you mean `env`?",
        ),
        (
            CONNECTION.replace("TOKEN", "$TOKEN"),
            "3:17",
            "no name of an environment variable",
        ),
        (
            CONNECTION.replace("env = \"TOKEN\"", "credential = \"../x\""),
            "3:24",
            "no name of a credential",
        ),
    ]);
}

/// An OAuth connection that is right but for the line added or changed.
const OAUTH: &str = r#"[connection.c]
base_url = "http://127.0.0.1:1"
authorize_url = "/authorize"
token_url = "/token"
client_id = "me"
client_secret = { env = "S" }
redirect_uri = "http://127.0.0.1:2/"
"#;

#[test]
fn oauth() {
    assert!(House::of(OAUTH).load().is_ok());
    let more = |line: &str| format!("{OAUTH}{line}\n");
    let but = |from: &str, to: &str| OAUTH.replace(from, to);
    check(&[
        (
            but("client_id = \"me\"\n", ""),
            "1:13",
            "has no `client_id`",
        ),
        (but("\"/token\"", "\"https://\""), "4:13", "is no URL"),
        (
            but("base_url = \"http://127.0.0.1:1\"\n", "")
                .replace("\"/authorize\"", "\"https://x.example\""),
            "3:13",
            "has no `base_url`",
        ),
        (
            but("http://127.0.0.1:2/", "https://test.local"),
            "7:16",
            "would be sent as `https://test.local/`",
        ),
        (
            but("http://127.0.0.1:2/", "http://test.local/"),
            "7:16",
            "unencrypted",
        ),
        (
            but("authorize_url = \"/authorize\"\n", ""),
            "1:13",
            "has no `authorize_url` .. or `issuer`, which tells it",
        ),
        (
            more("issuer = \"https://a.example/?x=1\""),
            "8:10",
            "has a query, which no issuer may have",
        ),
        (more("issuer = \"http://a.example\""), "8:10", "unencrypted"),
        (
            more("revocation_url = \"http://a.example/revoke\""),
            "8:18",
            "unencrypted",
        ),
        (
            more("client_auth = \"none\""),
            "6:1",
            "never sent with `client_auth = \"none\"`",
        ),
        (
            but("client_secret = { env = \"S\" }", "client_auth = \"body\""),
            "1:13",
            "has no `client_secret`",
        ),
        (
            more("grant = \"client_credential\""),
            "8:9",
            "did you mean \"client_credentials\"?",
        ),
        (
            more("grant = \"implicit\""),
            "8:9",
            "one of \"authorization_code\", \"device_code\", \"client_credentials\"",
        ),
        (
            but(
                "authorize_url = \"/authorize\"",
                "grant = \"client_credentials\"",
            ),
            "7:1",
            "`redirect_uri` is for signing in",
        ),
        (
            more("refresh = { not_before = \"2m\", target = \"1m\" }"),
            "8:32",
            "`target` is before `not_before`",
        ),
        (
            more("refresh = { policy = \"lazy\" }"),
            "8:22",
            "\"ahead\", \"when_needed\"",
        ),
        (more("scopes = [\"a b\"]"), "8:11", "more than one scope"),
        (
            more("scopes = \"a\""),
            "8:10",
            "`scopes` is text .. an array",
        ),
        (
            more("authorize_params = { state = \"x\" }"),
            "8:22",
            "`state` is set by the protocol",
        ),
        (
            more("token_params = { a = 1 }"),
            "8:22",
            "`a` is an integer",
        ),
        (
            more("errors = [{ means = \"transient\" }]"),
            "8:11",
            "neither `error` nor `contains`",
        ),
        (
            more("errors = [{ error = \"x\" }]"),
            "8:11",
            "has no `means`",
        ),
        (more("pkce = \"yes\""), "8:8", "true or false"),
    ]);
}

#[test]
fn syntax_errors_stand_beside_what_is_still_readable() {
    let text = format!(
        "{CONNECTION}{FLOW}every = 1h\ntable = \"x\nmax_pages = 0\n[flow.g\nurl = \"/x\"\n[flow.h]\nconnection = \"c\"\n"
    );
    let report = House::of(&text).load().unwrap_err();
    let problems: Vec<String> = report.problems().iter().map(shown).collect();
    let starts = |place: &str| {
        problems
            .iter()
            .filter(|problem| problem.starts_with(place))
            .count()
    };
    assert_eq!(
        (starts("9:"), starts("10:"), starts("11:13"), starts("12:")),
        (1, 1, 1, 1),
        "{problems:#?}"
    );
    // What the broken lines would have said is not missed: nobody knows what they say.
    assert_eq!(problems.len(), 4, "{problems:#?}");
}
