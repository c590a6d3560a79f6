//! What can be wrong with where records stand and what becomes of them.

use super::{check, with};

#[test]
fn records() {
    let more = |line: &str| with("", line);
    let jq = "records = { jq = \".a[\" }";
    check(&[
        (
            more("records = \"$.a[?@.b\""),
            "9:19",
            "`records` is no path of RFC 9535",
        ),
        (more("records = \"a[0]\""), "9:11", "is no path"),
        (
            more("records = [\"a\"]"),
            "9:11",
            "`records` is an array .. a path such as",
        ),
        (more("records = {}"), "9:11", "has no `path`"),
        (
            more("records = { path = \"a\", shape = \"mapp\" }"),
            "9:33",
            "did you mean \"map\"?",
        ),
        (
            more("records = { path = \"a\", key_as = \"id\" }"),
            "9:25",
            "`key_as` has no meaning here .. shape = \"map\"",
        ),
        (
            more("records = { path = \"a\", shape = \"map\", header = true }"),
            "9:40",
            "`header` has no meaning here .. shape = \"rows\"",
        ),
        (
            more("records = { path = \"a\", shape = \"rows\" }"),
            "9:11",
            "has no `header` .. true if the first row has the names",
        ),
        (
            more("records = { path = \"a\", shape = \"rows\", header = false }"),
            "9:50",
            "the names must be given",
        ),
        (
            more("records = { path = \"a\", shape = \"rows\", header = [\"a\", \"a\"] }"),
            "9:56",
            "`header` has `a` twice",
        ),
        (
            more("records = { path = \"a\", shape = \"rows\", header = [] }"),
            "9:50",
            "`header` is empty",
        ),
        (
            more(jq),
            "9:22",
            "`jq` is no valid jq program .. expected closing bracket",
        ),
        (
            more("records = { jq = \".a[]\", path = \"a\" }"),
            "9:26",
            "the program `jq` finds the records by itself",
        ),
    ]);
}

#[test]
fn formats() {
    let more = |line: &str| with("", line);
    check(&[
        (
            more("format = \"xml\""),
            "9:10",
            "`format` cannot be `xml` .. \"json_lines\"",
        ),
        (more("format = {}"), "9:10", "has no `csv`"),
        (
            more("format = { csv = { delimiter = \"ab\" } }"),
            "9:32",
            "is not one character of ASCII",
        ),
        (
            more("format = { csv = { quote = \"\\n\" } }"),
            "9:28",
            "is a line break",
        ),
        (
            more("format = { csv = { quote = \",\" } }"),
            "9:20",
            "`quote` and `delimiter` are the same",
        ),
        (
            more("format = { csv = { empty = \"nothing\" } }"),
            "9:28",
            "one of \"null\"",
        ),
        (
            more("format = \"json_lines\"\nrecords = \"a\""),
            "10:1",
            "in JSON Lines each line is a record .. `transform` takes records apart",
        ),
        (
            more("format = \"csv\"\ntombstones = { list = \"gone\", key = \"id\" }"),
            "10:1",
            "CSV has no place for a list of what is gone .. a `field` of each record",
        ),
        (
            with("", "format = \"csv\"").replace("paging = \"none\"", "paging = \"odata\""),
            "7:1",
            "CSV has no place where the next page could be named",
        ),
    ]);
}

#[test]
fn steps() {
    let more = |line: &str| with("", line);
    check(&[
        (
            more("filter = \".a ==\""),
            "9:16",
            "`filter` is no valid jq program .. expected term",
        ),
        (
            more("filter = \".a | foo\""),
            "9:16",
            "there is no function `foo` with this number of arguments",
        ),
        (
            more("transform = \"env\""),
            "9:14",
            "a program sees its input and nothing else",
        ),
        (
            more("compute = { a = \".a)\" }"),
            "9:20",
            "`a` is no valid jq program",
        ),
        (
            more("compute = \".a\""),
            "9:11",
            "`compute` is text .. a table",
        ),
        (
            more("drop = \"a\""),
            "9:8",
            "`drop` is text .. an array of fields",
        ),
        (more("drop = [\"$\"]"), "9:9", "names no field"),
        (
            more("expand = { parent = [\"a\"] }"),
            "9:10",
            "has no `path`",
        ),
        (
            more("expand = { path = \"a\", parent = [\"b.id\", \"c.id\"] }"),
            "9:10",
            "`parent` would give two fields `id`",
        ),
        (
            more("expand = { path = \"a\", parrent = [\"b\"] }"),
            "9:24",
            "did you mean `parent`?",
        ),
    ]);
}
