//! A person signs in on another device (RFC 8628).

use tidegate::clock::Clock;

use crate::authority::Authority;
use crate::support::{answer, json};

const DEVICE: &str = "grant = \"device_code\"\ntoken_url = \"{url}/token\"\n\
                      device_authorization_url = \"{url}/device\"\nscopes = [\"read\"]\n";
const BEGUN: &str = r#"{"device_code":"CANARY-device","user_code":"WDJB-MJHT",
    "verification_uri":"https://atlas.example/device","expires_in":600,"interval":5,
    "verification_uri_complete":"https://atlas.example/device?user_code=WDJB-MJHT"}"#;

fn atlas() -> Authority {
    let atlas = Authority::new(DEVICE);
    atlas.always("/device", json(BEGUN));
    atlas
}

fn refused(code: &str) -> Vec<u8> {
    answer(400, &[], &format!(r#"{{"error":"{code}"}}"#))
}

#[test]
fn whoever_enters_the_code_elsewhere_is_signed_in_here() {
    let atlas = atlas();
    for code in [
        "authorization_pending",
        "slow_down",
        "authorization_pending",
    ] {
        atlas.next("/token", refused(code));
    }
    // What is lost on the way is asked for again.
    atlas.next("/token", Vec::new());
    let ran = atlas.house.run_as_time_passes(&["login", "atlas"]);
    let ran = ran.expect_code(0);
    assert!(
        ran.stdout
            .starts_with("https://atlas.example/device\nWDJB-MJHT\nsigned in on `atlas`\n"),
        "{}",
        ran.stdout
    );
    let begun = atlas.asked("/device").pop().unwrap();
    assert_eq!(
        (begun["client_id"].as_str(), begun["scope"].as_str()),
        ("tidegate", "read")
    );
    assert_eq!(begun["client_secret"], "CANARY-secret");
    let polls = atlas.asked("/token");
    assert_eq!(polls.len(), 5);
    for poll in polls {
        assert_eq!(
            poll["grant_type"],
            "urn:ietf:params:oauth:grant-type:device_code"
        );
        assert_eq!(poll["device_code"], "CANARY-device");
    }
    // 5 s, 5 s, 10 s, 10 s, and 20 s after the one that was lost.
    let began: jiff::Timestamp = "2026-01-05T08:00:00Z".parse().unwrap();
    let passed = atlas.house.clock().now().duration_since(began).as_secs();
    assert!(passed >= 50, "{passed}");
    atlas.house.run(&["--run-now"]).expect_code(0);
    assert_eq!(atlas.house.generation("atlas"), Some(1));
}

#[test]
fn whoever_says_no_or_comes_too_late_changes_nothing() {
    let atlas = atlas();
    atlas
        .house
        .run_as_time_passes(&["login", "atlas"])
        .expect_code(0);
    let told = |ran: crate::support::Ran| ran.expect_code(3).stderr;
    atlas.next("/token", refused("access_denied"));
    let denied = told(atlas.house.run_as_time_passes(&["login", "atlas"]));
    assert!(
        denied.ends_with(
            "error: the authorization server granted nothing: access_denied\n\
             hint: nothing has changed; to agree after all, type `tidegate login atlas` again\n"
        ),
        "{denied}"
    );
    let late = "error: nobody entered the code for connection `atlas` in time\n\
                hint: type `tidegate login atlas` again\n";
    atlas.next("/token", refused("expired_token"));
    let expired = told(atlas.house.run_as_time_passes(&["login", "atlas"]));
    assert!(expired.ends_with(late), "{expired}");

    atlas.always("/device", json(&BEGUN.replace("600", "12")));
    atlas.always("/token", refused("authorization_pending"));
    let asked = atlas.asked("/token").len();
    let ended = told(atlas.house.run_as_time_passes(&["login", "atlas"]));
    assert!(ended.ends_with(late), "{ended}");
    assert_eq!(
        atlas.asked("/token").len(),
        asked + 2,
        "it is asked until the code ends"
    );
    assert_eq!(atlas.house.generation("atlas"), Some(1));
}

#[test]
fn a_server_that_begins_no_login_is_told() {
    let atlas = atlas();
    let cases = [
        (
            refused("invalid_scope"),
            2,
            "check `scopes` of connection `atlas`",
        ),
        (
            answer(404, &[], "nothing here"),
            2,
            "check `device_authorization_url`",
        ),
        (answer(503, &[], ""), 1, "nothing has changed"),
        (
            json(&BEGUN.replace("https://", "http://")),
            2,
            "check `device_authorization_url`",
        ),
    ];
    for (begun, code, next) in cases {
        atlas.next("/device", begun);
        let ran = atlas.house.run(&["login", "atlas"]).expect_code(code);
        assert!(ran.stderr.contains(next), "{}", ran.stderr);
        assert!(!ran.stderr.contains("CANARY"), "{}", ran.stderr);
    }
    assert!(atlas.asked("/token").is_empty());
}
