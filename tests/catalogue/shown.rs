//! What a person is told about providers.

use serde_json::Value;

use crate::support::TempHouse;

/// The text `tidegate providers show exact-online` prints.
const EXACT: &str = include_str!("../golden/providers-show-exact-online.txt");

#[test]
fn everything_about_a_provider_fits_a_page_that_says_where_it_is_known_from() {
    let shown = TempHouse::new("").run(&["providers", "show", "exact-online"]);
    assert_eq!(shown.stdout, EXACT, "{}", shown.stdout);
    assert_eq!(shown.code, Some(0));
}

#[test]
fn the_list_and_the_page_have_a_json_twin() {
    let house = TempHouse::new("");
    let answer = |arguments: &[&str]| -> Value {
        let ran = house.run(arguments);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    };
    let list = answer(&["providers", "--json"]);
    let text = house.run(&["providers"]).stdout;
    for provider in list.as_array().unwrap() {
        assert!(text.contains(provider["name"].as_str().unwrap()));
    }
    let microsoft = answer(&["providers", "show", "microsoft", "--json"]);
    assert_eq!(microsoft["works"], "yes");
    let notion = answer(&["providers", "show", "notion", "--json"]);
    assert_eq!(notion["works"], "in_part");
    assert_eq!(microsoft["connection"]["client_auth"], "body");
    assert_eq!(microsoft["snippets"][1]["grant"], "device_code");
    assert_eq!(microsoft["snippets"][2]["grant"], "client_credentials");
    assert_eq!(microsoft["scopes"]["Mail.ReadWrite"]["writes"], true);
    assert!(microsoft["unsure"]["pkce"].is_string());
}

#[test]
fn an_unknown_provider_is_answered_with_the_nearest() {
    let house = TempHouse::new("");
    let ran = house.run(&["providers", "show", "exct-online"]);
    assert_eq!(
        ran.block(&house),
        "exit 2\n--- stderr\nerror: there is no provider `exct-online`\n\
         hint: did you mean \"exact-online\"?\n"
    );
    let ran = house.run(&["providers", "show", "acme"]);
    assert!(
        ran.stderr.contains("`tidegate providers` lists them"),
        "{}",
        ran.stderr
    );
}
