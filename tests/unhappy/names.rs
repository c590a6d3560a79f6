//! Names that the configuration does not know.

use insta::assert_snapshot;

use crate::shop::Shop;
use crate::support::json;

/// What the program says to words about a house with one connection `shop` and one flow `order`.
fn told(words: &[&str]) -> String {
    let shop = Shop::new("none", |_| json("[]"));
    let ran = shop.house.run(words);
    assert!(shop.api.asked().is_empty());
    ran.block(&shop.house)
}

#[test]
fn an_unknown_flow_is_answered_with_those_there_are() {
    assert_snapshot!(told(&["--run-now", "order", "ordr"]), @r"
    exit 2
    --- stderr
    error: there is no flow `ordr` (did you mean `order`?); there are: `order`
    ");
}

#[test]
fn an_unknown_connection_is_answered_with_those_there_are() {
    assert_snapshot!(told(&["login", "shp"]), @r"
    exit 2
    --- stderr
    error: there is no connection `shp` (did you mean `shop`?); there are: `shop`
    ");
    assert_snapshot!(told(&["logout", "shp"]), @r"
    exit 2
    --- stderr
    error: there is no connection `shp` (did you mean `shop`?); there are: `shop`
    ");
}

#[test]
fn a_connection_that_nobody_signs_in_to_says_so() {
    assert_snapshot!(told(&["login", "shop"]), @r"
    exit 2
    --- stderr
    error: nobody signs in to connection `shop`
    ");
}

#[test]
fn the_runs_of_an_unknown_flow_are_not_just_empty() {
    assert_snapshot!(told(&["runs", "ordr"]), @r"
    exit 2
    --- stderr
    error: there is no flow `ordr` (did you mean `order`?); there are: `order`
    ");
}

#[test]
fn a_database_that_is_not_there_yet_is_explained() {
    assert_snapshot!(told(&["tables"]), @r"
    exit 2
    --- stderr
    error: there is no `HOUSE/tidegate-state/tidegate.db` yet
    hint: the first run makes it: `tidegate --run-now`
    ");
    assert_snapshot!(told(&["query", "SELECT 1"]), @r"
    exit 2
    --- stderr
    error: there is no `HOUSE/tidegate-state/tidegate.db` yet
    hint: the first run makes it: `tidegate --run-now`
    ");
    assert_snapshot!(told(&["runs"]), @r"
    exit 0
    --- stdout
    no runs yet; `tidegate --run-now` starts one
    ");
    assert_snapshot!(told(&["runs", "--json"]), @r"
    exit 0
    --- stdout
    []
    ");
}

#[test]
fn an_unknown_key_of_the_configuration_is_shown_in_its_place() {
    let shop = Shop::new("none", |_| json("[]"));
    let wrong = Shop::config(&shop.api.url, "none").replace("every =", "evry =");
    shop.house.write_private("tidegate.toml", &wrong);
    let ran = shop.house.run(&["check"]);
    assert_snapshot!(ran.block(&shop.house), @r#"
    exit 2
    --- stderr
    error: unknown key `evry` in flow `order`
     --> HOUSE/tidegate.toml:9:1
      |
    9 | evry = "1h"
      | ^^^^ not a key of [flow.NAME]
      |
      = help: did you mean `every`?

    1 problem in HOUSE/tidegate.toml
    "#);
    for words in [&["--run-now"][..], &["status"], &[]] {
        let other = shop.house.run(words);
        assert_eq!(other.block(&shop.house), ran.block(&shop.house));
    }
    assert!(!shop.house.path("tidegate-state").exists());
}
