//! What a person is told before they agree.

use serde_json::Value;

use crate::authority::Authority;

/// A connection that asks Microsoft for what a reader does not need, at a server of ours.
const MICROSOFT: &str = "provider = \"microsoft\"\nauthorize_url = \"{url}/authorize\"\n\
                         token_url = \"{url}/token\"\n\
                         redirect_uri = \"https://tidegate.example/callback\"\n\
                         scopes = [\"Mail.ReadWrite\", \"User.Read.All\", \"openid\", \"Odd.Read\"]\n";

#[test]
fn a_login_says_what_each_scope_allows_and_what_to_ask_for_instead() {
    let atlas = Authority::new(MICROSOFT);
    let (login, _) = atlas.begin();
    let told = login.kill().stderr;
    let microsoft = tidegate::config::provider("microsoft").unwrap();
    let about = |scope: &str| &microsoft.scopes[scope].about;
    for line in [
        format!("  - {} (`Mail.ReadWrite`)\n", about("Mail.ReadWrite")),
        format!("  - {} (`User.Read.All`)\n", about("User.Read.All")),
        "not known here; the server's page tells: `Odd.Read`\n".to_owned(),
        "warning: changes are allowed by `Mail.ReadWrite`, and tidegate only reads".to_owned(),
        "warning: without the scope `offline_access` ".to_owned(),
    ] {
        assert!(told.contains(&line), "{line}\n{told}");
    }
    assert!(!told.contains("by `Mail.ReadWrite`, `User"), "{told}");
}

#[test]
fn scopes_that_only_read_and_last_are_told_without_a_warning() {
    let atlas = Authority::new(&MICROSOFT.replace("Mail.ReadWrite", "offline_access"));
    let (login, _) = atlas.begin();
    let told = login.kill().stderr;
    assert!(told.contains("(`offline_access`)\n"), "{told}");
    assert!(!told.contains("warning: "), "{told}");
}

#[test]
fn a_program_reads_it_beside_the_address() {
    let atlas = Authority::new(MICROSOFT);
    let words = ["login", "atlas", "--no-browser", "--json"];
    let mut login = atlas.house.start(&words);
    login.wait_for_line(|line| line == "}");
    let ran = login.kill();
    let begun: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(begun["authorize_url"].is_string(), "{begun}");
    let asks = &begun["asks"];
    assert_eq!(asks["allowed"][0]["scope"], "Mail.ReadWrite");
    assert_eq!(asks["allowed"][0]["writes"], true);
    assert_eq!(asks["unknown"][0], "Odd.Read");
    assert_eq!(asks["warnings"].as_array().unwrap().len(), 2);
    assert!(!ran.stderr.contains("This asks"), "{}", ran.stderr);
}
