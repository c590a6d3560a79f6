//! An older copy of the vault that is brought back, and a vault that has moved.

use std::fs;
use std::time::Duration;

use crate::support::{Ran, RotatingServer, Rotation, TempHouse, paste_login};

/// Longer than an access token lives, and no longer than the server's grace after that.
const A_LIFE: Duration = Duration::from_secs(620);

/// A house signed in at a server that forgets a refresh token soon after its use.
struct Shop {
    house: TempHouse,
    server: RotatingServer,
}

impl Shop {
    fn signed_in() -> Self {
        let mut house = TempHouse::new("");
        let machine = house.path("machine-id").display().to_string();
        house.set_env("TIDEGATE_TEST_MACHINE_ID", &machine);
        house.write_private("machine-id", "0f0e0d0c0b0a09080706050403020100\n");
        let server = RotatingServer::start(&house, "shop", Rotation::SameSuccessor);
        let url = server.url();
        let config = format!(
            r#"
[connection.shop]
base_url = "{url}"
authorize_url = "{url}/authorize"
token_url = "{url}/token"
client_id = "tidegate"
client_auth = "none"
redirect_uri = "https://test.local/back"

[flow.item]
connection = "shop"
url = "/items"
key = ["id"]
records = "items"
paging = "none"
"#
        );
        house.write_private("tidegate.toml", &config);
        paste_login(&house, "shop").expect_code(0);
        Self { house, server }
    }

    /// Runs the flow after the access token has ended.
    fn run_after_a_life(&self) -> Ran {
        self.house.clock().advance(A_LIFE).unwrap();
        self.run()
    }

    fn run(&self) -> Ran {
        self.house.run(&["--run-now"])
    }

    /// Brings the vault of a backup back, as the README says.
    fn restore(&self, copy: &str) {
        let state = self.house.path("tidegate-state");
        for name in ["vault.db", "vault.db-wal", "vault.db-shm"] {
            fs::remove_file(state.join(name)).unwrap();
        }
        let copy = self.house.path(copy).join("vault.db");
        fs::copy(copy, state.join("vault.db")).unwrap();
    }

    /// Returns how the connection stands, why, and what to do.
    fn standing(&self) -> [String; 3] {
        let shown = self.house.run(&["connections", "--json"]).json();
        ["state", "reason", "hint"].map(|key| shown[0][key].as_str().unwrap_or("").to_owned())
    }

    fn presented(&self) -> usize {
        self.server.presented().len()
    }
}

#[test]
fn an_older_copy_asks_for_no_token_until_somebody_adopts_it() {
    let shop = Shop::signed_in();
    let house = &shop.house;
    house.run(&["backup", "copy"]).expect_code(0);
    shop.run_after_a_life().expect_code(0);
    assert_eq!(shop.presented(), 1);
    assert!(!house.path("copy/high-water").exists());

    shop.restore("copy");
    // An answer that came after the copy was made: whoever needs it finds it.
    let newer = house.path("tidegate-state/rescue/9.rescue");
    fs::write(&newer, [0, 0, 0, 3, 1, 2, 3]).unwrap();
    let refused = shop.run().expect_code(3);
    assert!(
        refused.stderr.contains("type `tidegate vault adopt`"),
        "{}",
        refused.stderr
    );
    assert_eq!(shop.presented(), 1, "the spent token is not shown again");
    let [state, reason, hint] = shop.standing();
    assert_eq!([&*state, &*reason], ["in_doubt", "restored"]);
    assert!(hint.contains("tidegate vault adopt"), "{hint}");
    let status = house.run(&["status"]);
    assert!(status.stdout.contains("vault adopt"), "{}", status.stdout);
    let kept = fs::read_dir(house.path("tidegate-state/rescue")).unwrap();
    let mut kept = kept.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(kept.any(|name| name.starts_with("9-") && name.ends_with(".kept")));

    let adopted = house.run(&["vault", "adopt"]).expect_code(0);
    assert!(
        adopted.stdout.contains("1 account may refresh again"),
        "{}",
        adopted.stdout
    );
    shop.run().expect_code(0);
    assert_eq!(shop.presented(), 2);
    assert_eq!(shop.standing()[0], "ok");
    shop.run_after_a_life().expect_code(0);
}

#[test]
fn a_service_that_runs_on_an_older_copy_takes_the_adoption_at_once() {
    let shop = Shop::signed_in();
    shop.house.run(&["backup", "copy"]).expect_code(0);
    shop.run_after_a_life().expect_code(0);
    shop.restore("copy");
    let daemon = shop.house.start_daemon();
    assert_eq!(shop.standing()[1], "restored");
    assert_eq!(shop.presented(), 1);
    shop.house.run(&["vault", "adopt"]).expect_code(0);
    shop.run().expect_code(0);
    assert_eq!(shop.presented(), 2);
    drop(daemon);
}

#[test]
fn without_its_mark_a_vault_that_has_refreshed_is_taken_for_a_copy_but_its_access_token_is_used() {
    let shop = Shop::signed_in();
    let mark = shop.house.path("tidegate-state/high-water");
    fs::remove_file(&mark).unwrap();
    shop.run().expect_code(0);
    assert_eq!(shop.standing()[0], "ok", "nothing was spent yet");
    shop.run_after_a_life().expect_code(0);
    fs::remove_file(&mark).unwrap();
    shop.run().expect_code(0);
    assert_eq!(shop.standing()[1], "restored");
    // Whoever signs in again needs no adoption.
    paste_login(&shop.house, "shop").expect_code(0);
    assert_eq!(shop.standing()[0], "ok");
}

#[test]
fn a_vault_of_another_machine_is_not_used_until_somebody_adopts_it() {
    let shop = Shop::signed_in();
    shop.run().expect_code(0);
    let there = "00000000000000000000000000000001\n";
    shop.house.write_private("machine-id", there);
    let refused = shop.run_after_a_life().expect_code(2);
    for words in ["was last used on another machine", "tidegate vault adopt"] {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    assert_eq!(shop.presented(), 0);
    shop.house.run(&["vault", "adopt"]).expect_code(0);
    shop.run().expect_code(0);
    assert_eq!(shop.presented(), 1);
}
