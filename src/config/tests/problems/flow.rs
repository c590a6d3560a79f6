//! What can be wrong with a flow.

use super::{CONNECTION, FLOW, check, with};

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
            more("accounts = \"all\""),
            "9:12",
            "nobody signs in to connection `c` .. no `accounts`",
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
            "one of `json`, `form` and `graphql`",
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
fn for_each() {
    let each = |value: &str| with("", &format!("for_each = {value}"));
    let more = |line: &str| with("", &format!("for_each = {{ list = [\"a\"] }}\n{line}"));
    check(&[
        (
            with("", "query = { a = \"{{ each.id }}\" }"),
            "9:19",
            "uses `each.id`, which nothing sets .. for_each = { sql",
        ),
        (
            more("query = { a = \"{{ each.id }}\" }"),
            "10:19",
            "did you mean `each.value`?",
        ),
        (
            with(
                "",
                "for_each = { sql = \"SELECT 1\" }\nquery = { a = \"{{ each.id | dat }}\" }",
            ),
            "10:29",
            "filter dat is unknown",
        ),
        (each("\"SELECT 1\""), "9:12", "`for_each` is text .. { list"),
        (each("{}"), "9:12", "neither `sql` nor `list`"),
        (each("[]"), "9:12", "`for_each` is empty"),
        (each("[1]"), "9:13", "is an integer"),
        (
            each("{ sql = \"SELECT 1\", list = [1] }"),
            "9:32",
            "either `sql` or `list` .. two levels",
        ),
        (
            each("{ sql = \"DELETE FROM a\" }"),
            "9:20",
            "does not ask for rows",
        ),
        (
            each("{ sql = \"SELECT {{ var.a }}\" }"),
            "9:20",
            "is no template .. :id",
        ),
        (each("{ list = [] }"), "9:21", "`list` is empty"),
        (each("{ list = [[1]] }"), "9:22", "neither text, a number"),
        (
            each("{ list = [{ a = 1 }, { b = 1 }] }"),
            "9:33",
            "differ in their names",
        ),
        (
            each("[{ list = [1] }, { list = [2] }]"),
            "9:29",
            "two levels of `for_each` name `value`",
        ),
    ]);
    check(&[
        (
            more("with = { a = \"{{ now }}\" }"),
            "10:18",
            "uses `now`, which nothing sets",
        ),
        (
            more("with = { sync_a = 1 }"),
            "10:10",
            "kept for our own columns",
        ),
        (more("with = { a = [1] }"), "10:14", "`a` is an array"),
        (
            more("with = { A = 1, a = 2 }"),
            "10:8",
            "has a column `a`, and there is another",
        ),
        (
            more("columns = { a = \"b\" }\nwith = { a = 1 }"),
            "11:8",
            "has a column `a`, and there is another",
        ),
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
        (
            more_sent("cursor = { field = \"m\", format = \"%H:%M\" }"),
            "10:34",
            "does not tell which day it is .. \"epoch\"",
        ),
        (
            more_sent("cursor = { field = \"m\", format = \"%!\" }"),
            "10:34",
            "is no format",
        ),
        (
            more_sent("cursor = { field = \"m\", ordered = true, newest_first = true }"),
            "10:41",
            "either in the cursor's order or the newest first",
        ),
    ]);
    let until = "query = { s = \"{{ bookmark }}{{ until }}\" }\n";
    let windowed = |more: &str| {
        let cursor = format!("cursor = {{ field = \"m\", start = 2024-01-01, {more} }}");
        with("", &format!("{until}{cursor}"))
    };
    check(&[
        (windowed("window = \"month\""), "10:54", "is no span"),
        (
            windowed("window = \"0 days\""),
            "10:54",
            "out of range; the least is 1m",
        ),
        (windowed("window = \"-1 day\""), "10:54", "out of range"),
        (
            windowed("window = \"1 day\", ordered = true"),
            "10:63",
            "its bookmark moves to its end",
        ),
        (
            windowed("window = \"1 day\", newest_first = true"),
            "10:45",
            "its bookmark moves to its end",
        ),
        (
            with(
                "",
                &format!("{until}cursor = {{ field = \"m\", window = \"1 day\" }}"),
            ),
            "10:34",
            "where the first one begins .. `start`",
        ),
        (
            with(
                "",
                &format!("{until}cursor = {{ field = \"m\", start = 1, window = \"1 day\" }}"),
            ),
            "10:45",
            "`start` that is a time",
        ),
        (
            more_sent("cursor = { field = \"m\", start = 2024-01-01, window = \"1 day\" }"),
            "10:1",
            "the end of a `window` is never sent .. {{ until }}",
        ),
    ]);
}

#[test]
fn bodies() {
    let body = |value: &str| format!("{CONNECTION}{FLOW}body = {value}\n");
    check(&[
        (body("{}"), "9:8", "`body` is empty .. graphql"),
        (
            body("{ json = {}, graphql = { query = \"{ a }\" } }"),
            "9:21",
            "one of `json`, `form` and `graphql`",
        ),
        (
            body("{ graphql = { variables = {} } }"),
            "9:20",
            "has no `query`",
        ),
        (
            body("{ graphql = { query = \"{ a(b: {{ bookmark }}) }\" } }"),
            "9:30",
            "sent as it stands .. in `variables`",
        ),
        (
            body("{ graphql = { query = \"{ a }\", variables = 7 } }"),
            "9:51",
            "`variables` is an integer",
        ),
        (
            body("{ graphql = { query = \"{ a }\", variables = { b = \"{{ page.size }}\" } } }"),
            "9:61",
            "uses `page.size`, which nothing sets .. `page.",
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
            "7:1",
            "nothing tells the source which page .. `query`, `header` or `body` .. page.cursor",
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
            "7:48",
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
        (
            paging("{ style = \"offset\", limit = 5 }"),
            "7:1",
            "nothing tells the source which page .. {{ page.offset }}",
        ),
        (
            paging("{ style = \"offset\", param = \"o\", limit = 5, overlap = 5 }"),
            "7:64",
            "`overlap` is out of range .. from 0 to 4",
        ),
        (
            paging("{ style = \"page\" }"),
            "7:1",
            "nothing tells the source which page .. {{ page.number }}",
        ),
        (
            paging("{ style = \"page\", param = \"p\", more = \"m\", past_end = 404 }"),
            "7:53",
            "told in one place",
        ),
        (
            paging("{ style = \"page\", param = \"p\", total_pages = \"t\", short_page_ends = true }"),
            "7:60",
            "told in one place",
        ),
        (
            paging("{ style = \"page\", param = \"p\", past_end = 200 }"),
            "7:52",
            "`past_end` is out of range .. 400 to 499",
        ),
        (
            paging("{ style = \"page\", param = \"p\", past_end = \"repeat\" }"),
            "7:52",
            "did you mean \"repeats\"?",
        ),
        (
            paging("{ style = \"page\", param = \"p\", past_end = true }"),
            "7:52",
            "`past_end` is a boolean .. or a status such as 404",
        ),
        (
            paging("{ style = \"next_url\", path = \"n\", from_header = \"X-N\" }"),
            "7:44",
            "stands in one place .. `path` and `from_header`",
        ),
        (
            paging("{ style = \"next_url\", from_header = \"a b\" }"),
            "7:46",
            "`from_header` is no header name",
        ),
        (
            paging("{ style = \"continue\" }"),
            "7:10",
            "has no `path` .. the object",
        ),
        (
            paging("{ style = \"keyset\", query = \"after\" }"),
            "7:10",
            "has no `field`",
        ),
        (
            paging("{ style = \"odata\", restart_after = 5 }"),
            "7:1",
            "no `cursor` is ordered .. ordered = true",
        ),
        (
            paging("{ style = \"keyset\", field = \"id\" }"),
            "7:1",
            "nothing tells the source which page",
        ),
        (
            paging("{ style = \"odata\", stop = \".a ==\" }"),
            "7:42",
            "`stop` is no valid jq program",
        ),
        (
            paging("{ style = \"cursor\", path = \"n\", query = \"a\", continue_url = \"/{{ nix }}\" }"),
            "7:75",
            "uses `nix`, which nothing sets",
        ),
        (
            format!("{CONNECTION}{FLOW}headers = {{ x = \"{{{{ page.cursor }}}}\" }}\n"),
            "7:1",
            "`page.cursor` is never set by this paging",
        ),
        (
            format!("{CONNECTION}{FLOW}headers = {{ x = \"{{{{ page.limit }}}}\" }}\n"),
            "7:1",
            "`page.limit` is never set by this paging .. `size` or `limit`",
        ),
        (
            format!(
                "{}{FLOW}",
                CONNECTION.replace(
                    "[connection.c]\n",
                    "[connection.c]\npaging = { style = \"cursor\", path = \"n\", query = \"q\", continue_url = \"/x\" }\n"
                )
            ),
            "2:70",
            "`continue_url` belongs to one flow",
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
        (more("table = \"Json_Each\""), "9:9", "SQLite's own"),
        (
            more("table = \"pragma_table_info\""),
            "9:9",
            "begins with `pragma_`",
        ),
        (more("table = \"excluded\""), "9:9", "SQLite's own"),
        (
            more("columns = { id = \"id\", _rowid_ = \"s\" }"),
            "9:24",
            "SQLite's own name for a row's number",
        ),
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
fn accounts() {
    let signed_in = |line: &str| {
        let connection = r#"[connection.c]
base_url = "https://c.example"
authorize_url = "/a"
token_url = "/t"
client_id = "x"
redirect_uri = "http://127.0.0.1:8765/"
"#;
        format!("{connection}{FLOW}{line}\n")
    };
    check(&[
        (signed_in("accounts = []"), "12:12", "`accounts` is empty"),
        (
            signed_in("accounts = [\"a\", \"a\"]"),
            "12:18",
            "names `a` twice",
        ),
        (
            signed_in("accounts = [\"a b\"]"),
            "12:13",
            "a name has letters, digits",
        ),
        (
            signed_in("accounts = \"al\""),
            "12:12",
            "`accounts` .. \"all\"",
        ),
    ]);
}

#[test]
fn deletions() {
    let more = |line: &str| with("", line);
    check(&[
        (
            more("deletes = \"softly\""),
            "9:11",
            "`deletes` cannot be `softly` .. did you mean \"soft\"?",
        ),
        (
            more("deletes = true"),
            "9:11",
            "`deletes` is a boolean .. \"soft\"",
        ),
        (
            more("deletes = { sweep = \"thrice\" }"),
            "9:21",
            "cannot be `thrice` .. one of \"never\", \"twice\", \"once\"",
        ),
        (
            more("deletes = { max = \"0%\" }"),
            "9:19",
            "`max` is no share from 1% to 100% .. such as \"10%\", or a number of rows",
        ),
        (
            more("deletes = { mode = \"hard\", purge_after = \"90d\" }"),
            "9:28",
            "`purge_after` has no effect with this `mode` .. only `mode = \"soft\"` marks any",
        ),
        (
            more("deletes = { mode = \"ignore\", max = 5 }"),
            "9:30",
            "`max` has no effect with `mode = \"ignore\"`",
        ),
        (
            more("deletes = { purge_after = \"1m\" }"),
            "9:27",
            "out of range .. 1h to",
        ),
        (
            more("tombstones = {}"),
            "9:14",
            "names neither `field` nor `list` .. { field = \"deleted\" }",
        ),
        (
            more("tombstones = { field = \"a\", list = \"b\" }"),
            "9:29",
            "told in one place .. keep one of `field` and `list`",
        ),
        (
            more("tombstones = { list = \"a\", equals = true }"),
            "9:28",
            "`equals` belongs to `field` .. whatever stands in the list is gone",
        ),
        (
            more("tombstones = { field = \"a\", key = \"id\" }"),
            "9:29",
            "`key` belongs to `list`",
        ),
        (
            more("tombstones = { list = \"a\", key = { uid = \"x\" } }"),
            "9:42",
            "`uid` is not in the table's key .. { id = \"…\" }",
        ),
        (
            more("tombstones = { field = \"a\", equals = [1] }"),
            "9:38",
            "`equals` is an array .. text, a number, or true or false",
        ),
    ]);
}
