//! What can be wrong with rules about answers.

use super::{check, with};

#[test]
fn response_rules() {
    let rule = |rule: &str| with("", &format!("response_rules = [{{ {rule} }}]"));
    check(&[
        (
            with("", "response_rules = { status = 404 }"),
            "9:18",
            "`response_rules` is a table .. an array such as",
        ),
        (
            rule("action = \"skip\""),
            "9:19",
            "has no `status` .. the rule would fit every answer",
        ),
        (
            rule("status = 404"),
            "9:19",
            "has no `action` .. what to do when the rule fits",
        ),
        (
            rule("status = 404, action = \"skipp\""),
            "9:44",
            "`action` cannot be `skipp` .. did you mean \"skip\"?",
        ),
        (
            rule("status = 404, action = \"skip\", after = \"1m\""),
            "9:52",
            "this rule does not wait .. use `action = \"wait\"`",
        ),
        (
            rule("status = 404, action = \"wait\", after = \"2d\""),
            "9:60",
            "`after` is out of range .. 1s to 1d",
        ),
        (
            rule("status = 600, action = \"skip\""),
            "9:30",
            "`status` is out of range .. from 100 to 599",
        ),
        (
            rule("status = [404, \"50x\"], action = \"skip\""),
            "9:36",
            "`status` is no status: `50x` .. a class such as \"5xx\"",
        ),
        (
            rule("status = [], action = \"skip\""),
            "9:30",
            "`status` is empty .. at least one",
        ),
        (
            rule("status = true, action = \"skip\""),
            "9:30",
            "`status` is a boolean",
        ),
        (
            rule("header = \"a b\", action = \"skip\""),
            "9:30",
            "`header` is no name of a header",
        ),
        (
            rule("header = { contains = \"x\" }, action = \"skip\""),
            "9:30",
            "has no `name` .. the name of the header",
        ),
        (
            rule("contains = \"\", action = \"skip\""),
            "9:32",
            "`contains` is empty",
        ),
        (
            rule("when = \".a[\", action = \"skip\""),
            "9:32",
            "`when` is no valid jq program .. expected closing bracket",
        ),
        (
            rule("when = \"now\", action = \"skip\""),
            "9:29",
            "`now` does not exist here",
        ),
        (
            rule("statuses = 404, action = \"skip\", contains = \"x\""),
            "9:21",
            "unknown key `statuses` .. did you mean `status`?",
        ),
        (
            with("response_rules = [{ action = \"stop\" }]", ""),
            "4:19",
            "connection `c`: `response_rules` has no `status`",
        ),
    ]);
}
