//! One problem at a time: its place, its words, its advice.

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
            "no provider we know .. known are `exact-online`",
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
            more("grant = \"password\""),
            "8:9",
            "one of \"authorization_code\", \"client_credentials\"",
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
fn flows() {
    let more = |line: &str| with("", line);
    let but = |from: &str, to: &str| format!("{CONNECTION}{}", FLOW.replace(from, to));
    check(&[
        (
            but("connection = \"c\"\n", ""),
            "4:7",
            "flow `f` has no `connection`",
        ),
        (
            but("\"c\"", "\"zzz\""),
            "5:14",
            "no connection `zzz` .. the connections are `c`",
        ),
        (but("key = [\"id\"]\n", ""), "4:7", "has no `key`"),
        (
            but("[\"id\"]", "\"id\""),
            "8:7",
            "`key` is text .. such as [\"ID\"]",
        ),
        (but("[\"id\"]", "[]"), "8:7", "`key` is empty"),
        (
            but("[\"id\"]", "[\"id\", \"id\"]"),
            "8:14",
            "names `id` twice",
        ),
        (but("[\"id\"]", "[\"a..b\"]"), "8:8", "is no path"),
        (but("[\"id\"]", "[\"$\"]"), "8:8", "names no field"),
        (but("url = \"/things\"\n", ""), "4:7", "has no `url`"),
        (
            but("/things", "{{ bookmrk }}"),
            "6:11",
            "uses `bookmrk` .. did you mean `bookmark`?",
        ),
        (
            but("/things", "{{ var.x }}"),
            "6:11",
            "give it a value: vars = { x = … }",
        ),
        (but("/things", "{{ now"), "6:11", "no valid template"),
        (
            but("/things", "{{ now | dat }}"),
            "6:17",
            "filter dat is unknown",
        ),
        (
            but("/things", "{{ account }}"),
            "6:11",
            "uses `account`, which nothing sets",
        ),
        (
            but("/things", "https://other.example/x"),
            "6:7",
            "leads to https://other.example .. allow_hosts",
        ),
        (but("paging = \"none\"\n", ""), "4:7", "has no `paging`"),
        (more("enabled = 1"), "9:11", "true or false"),
        (
            more("timeout = 60"),
            "9:11",
            "`timeout` is an integer .. \"15m\"",
        ),
        (more("method = \"get\""), "9:10", "did you mean \"GET\"?"),
        (
            more("method = \"GET\"\nbody = { json = {} }"),
            "9:1",
            "a GET has no body",
        ),
        (more("body = {}"), "9:8", "`body` is empty"),
        (
            more("body = { json = {}, form = {} }"),
            "9:21",
            "either `json` or `form`",
        ),
        (
            more("body = { json = [\"{{ nix }}\"] }"),
            "9:22",
            "uses `nix`",
        ),
        (
            more("query = { a = [1] }"),
            "9:15",
            "`a` is an array .. text, a number",
        ),
        (
            more("vars = { \"a-b\" = 1 }"),
            "9:10",
            "no name for a variable",
        ),
        (more("records = \"$.a[?(@.b)]\""), "9:11", "is no path"),
        (more("max_pages = 0"), "9:13", "out of range"),
        (
            more("max_page_bytes = \"64M\""),
            "9:18",
            "is no size .. \"64MB\"",
        ),
        (more("max_page_bytes = \"1B\""), "9:18", "out of range"),
    ]);
}

#[test]
fn schedules() {
    let more = |line: &str| with("", line);
    check(&[
        (
            more("schedule = \"0 0 30 2 *\""),
            "9:12",
            "never comes .. day 30, in February",
        ),
        (more("schedule = \"* * * *\""), "9:12", "has 4 fields"),
        (more("schedule = \"0 25 * * *\""), "9:15", "wrong hour"),
        (more("schedule = \"0 0 25 * * *\""), "9:17", "wrong hour"),
        (
            more("schedule = \"0/15 * * * *\""),
            "9:13",
            "wrong minute .. Use \"*/15\"",
        ),
        (more("schedule = \"\""), "9:12", "is empty"),
        (more("schedule = 5"), "9:12", "is an integer"),
        (more("every = \"500ms\""), "9:9", "out of range .. 1s to"),
        (
            more("every = \"1h\"\nschedule = \"0 * * * *\""),
            "9:1",
            "both `schedule` and `every`",
        ),
        (
            more("every = \"1h\"\ntime_zone = \"Europe/Paris\""),
            "10:1",
            "no effect without `schedule`",
        ),
        (
            more("schedule = \"0 * * * *\"\ntime_zone = \"CEST\""),
            "10:13",
            "`CEST` is no time zone",
        ),
    ]);
}

#[test]
fn cursors() {
    let more = |line: &str| with("", line);
    let sent = "query = { s = \"{{ bookmark }}\" }\n";
    let more_sent = |line: &str| with("", &format!("{sent}{line}"));
    check(&[
        (
            more("cursor = { field = \"m\" }"),
            "9:1",
            "its bookmark is never sent .. datetime'{{ bookmark }}'",
        ),
        (more(sent), "4:7", "no `cursor` moves it"),
        (
            more("cursor = { filter = \"m ge {{ bookmark }}\" }"),
            "9:10",
            "has no `field`",
        ),
        (
            more_sent("cursor = { field = \"m\", filter = \"m gt 1\" }"),
            "10:34",
            "does not use `bookmark`",
        ),
        (
            more_sent("cursor = { field = \"m\", start = true }"),
            "10:33",
            "`start` is a boolean",
        ),
        (
            more_sent("cursor = { field = \"m\", lookback = \"5\" }"),
            "10:36",
            "is no duration",
        ),
        (
            more_sent("cursor = { field = \"m\", orderd = true }"),
            "10:25",
            "did you mean `ordered`?",
        ),
        (
            more(
                "query = { \"$orderby\" = \"m desc\", s = \"{{ bookmark }}\" }\ncursor = { field = \"m\", ordered = true }",
            ),
            "10:25",
            "`$orderby` does not sort",
        ),
        (
            format!(
                "{CONNECTION}{}cursor = {{ field = \"m\" }}",
                FLOW.replace("/things", "/{{ bookmark }}")
            ),
            "6:7",
            "the first run has none .. start",
        ),
    ]);
}

#[test]
fn paging() {
    let paging = |value: &str| {
        format!(
            "{CONNECTION}{}",
            FLOW.replace("paging = \"none\"", &format!("paging = {value}"))
        )
    };
    check(&[
        (paging("\"odta\""), "7:10", "did you mean \"odata\"?"),
        (paging("\"page\""), "7:10", "needs settings .. param, first"),
        (paging("3"), "7:10", "`paging` is an integer"),
        (paging("{ param = \"p\" }"), "7:10", "has no `style`"),
        (paging("{ style = \"next_url\" }"), "7:10", "has no `path`"),
        (
            paging("{ style = \"next_url\", path = \"$\" }"),
            "7:39",
            "names no field",
        ),
        (
            paging("{ style = \"next_url\", path = \"n\", param = \"x\" }"),
            "7:44",
            "not a key of paging style \"next_url\"",
        ),
        (
            paging("{ style = \"cursor\", path = \"n\" }"),
            "7:10",
            "has no `query` .. `header` or `body`",
        ),
        (
            paging("{ style = \"cursor\", path = \"n\", query = \"a\", header = \"b\" }"),
            "7:55",
            "sent in one place",
        ),
        (
            paging("{ style = \"cursor\", path = \"n\", body = \"a\" }"),
            "7:1",
            "none is posted",
        ),
        (
            paging("{ style = \"page\", param = \"p\", size = { param = \"s\" } }"),
            "7:47",
            "has no `value`",
        ),
        (
            paging("{ style = \"page\", param = \"p\", more = \"m\", total_pages = \"t\" }"),
            "7:41",
            "told in one place",
        ),
        (
            paging("{ style = \"offset\", param = \"o\", limit_param = \"l\" }"),
            "7:10",
            "has no `limit`",
        ),
    ]);
}

#[test]
fn tables() {
    let more = |line: &str| with("", line);
    let second = "[flow.g]\nconnection = \"c\"\nurl = \"/g\"\npaging = \"none\"\nkey = [\"id\"]\n";
    check(&[
        (
            more("table = \"_tidegate_runs\""),
            "9:9",
            "begins with `_tidegate_`",
        ),
        (more("table = \"SQLITE_x\""), "9:9", "begins with `sqlite_`"),
        (more("table = \"a; DROP\""), "9:9", "cannot be `a; DROP`"),
        (
            more(&format!("table = \"G\"\n{second}")),
            "10:7",
            "writes table `g`, as flow `f` does",
        ),
        (
            more(&format!("{second}table = \"F\"")),
            "14:9",
            "writes table `F`, as flow `f` does",
        ),
        (more("columns = {}"), "9:11", "`columns` is empty"),
        (more("columns = \"id\""), "9:11", "`columns` is text"),
        (
            more("columns = { id = \"id\", sync_at = \"s\" }"),
            "9:24",
            "begins with `sync_`",
        ),
        (
            more("columns = { id = \"id\", ID = \"x\" }"),
            "9:24",
            "two columns `ID` .. upper from lower case",
        ),
        (
            more("columns = [\"id\", \"Id\"]"),
            "9:18",
            "two columns `Id`",
        ),
        (
            more("columns = { id = \"x\" }"),
            "8:7",
            "needs column `id`, which holds another field",
        ),
        (
            more("columns = { id = { type = \"int\" } }"),
            "9:27",
            "one of \"integer\"",
        ),
        (
            more("columns = { id = { typ = \"integer\" } }"),
            "9:20",
            "did you mean `type`?",
        ),
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
