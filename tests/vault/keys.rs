//! The keys of the vault: changed while everything goes on, and never lost by a kill.

use std::fs;

use crate::files::holding;
use crate::support::{Exact, Ran, TempHouse, eventually};
use tidegate::sandbox::Settings;

const SECRETS: usize = 6;

/// A house that is signed in and has sealed a few secrets.
struct Home {
    exact: Exact,
    original: String,
}

impl Home {
    fn new() -> Self {
        let exact = Exact::new(Settings::default());
        exact.sign_in();
        let original = fs::read_to_string(exact.house.config()).unwrap();
        let home = Self { exact, original };
        for number in 0..SECRETS {
            home.seal(&format!("s{number}"), &format!("CANARY-{number}-5d1c"));
        }
        home
    }

    fn house(&self) -> &TempHouse {
        &self.exact.house
    }

    fn seal(&self, name: &str, secret: &str) {
        let mut command = self.house().start(&["secret", "set", name]);
        command.type_line(secret);
        command.finish().expect_code(0);
    }

    /// Puts a new key in front of the one there is.
    fn change_key(&self) {
        let made = ["vault", "init", "--key-file", "new.key"];
        self.house().run(&made).expect_code(0);
        self.configure("key = { file = \"new.key\" }\nold_keys = [{ file = \"vault.key\" }]");
    }

    fn configure(&self, vault: &str) {
        let config = format!("{}\n[vault]\n{vault}\n", self.original);
        self.house().write_private("tidegate.toml", &config);
    }

    /// Returns the keys as `vault status` shows them, the current one last: id, state and how much
    /// each wraps.
    fn keys(&self) -> Vec<(String, String, u64)> {
        let status = self.house().run(&["vault", "status", "--json"]).json();
        let keys = status["keys"].as_array().unwrap().iter();
        let key = |key: &serde_json::Value| {
            let text = |name: &str| key[name].as_str().unwrap().to_owned();
            let wraps = key["data_keys"].as_u64().unwrap();
            (text("key"), text("state"), wraps)
        };
        let mut keys: Vec<_> = keys.map(key).collect();
        keys.sort_by_key(|(_, state, _)| state == "current");
        keys
    }

    #[track_caller]
    fn verify(&self) -> Ran {
        let verified = self.house().run(&["vault", "verify"]).expect_code(0);
        let wanted = "these open: 1 credential, 6 secrets, 0 orphans, 0 kept answers\n";
        assert_eq!(verified.stdout, wanted);
        verified
    }
}

#[test]
fn a_key_is_changed_without_a_login() {
    let home = Home::new();
    let house = home.house();
    home.change_key();
    let daemon = house.start_daemon();
    let keys = home.keys();
    assert_eq!(keys[0].1, "old");
    assert_eq!((keys[0].2, &*keys[1].1, keys[1].2), (7, "current", 0));
    let old = keys[0].0.clone();
    let refused = house.run(&["vault", "drop", &old]).expect_code(2);
    assert!(refused.stderr.contains("type `tidegate vault rewrap`"));
    let refused = house.run(&["vault", "drop", &keys[1].0]).expect_code(2);
    assert!(refused.stderr.contains("it is the current one"));

    let rewrapped = house.run(&["vault", "rewrap"]).expect_code(0);
    assert_eq!(
        rewrapped.stdout,
        "7 data keys brought under the current key\n"
    );
    home.verify();
    house.run(&["vault", "drop", &old]).expect_code(0);
    assert_eq!(home.keys().len(), 2, "the old one is configured still");
    drop(daemon);

    // Without the old key, and without its file: nothing needs it.
    fs::remove_file(house.path("vault.key")).unwrap();
    home.configure("key = { file = \"new.key\" }");
    home.verify();
    house.run(&["--run-now"]).expect_code(0);
}

#[test]
fn a_rewrap_that_is_killed_goes_on_and_everything_is_readable_between() {
    let mut home = Home::new();
    home.change_key();
    let orders = home.house().path("orders");
    fs::create_dir(&orders).unwrap();
    let orders_text = orders.to_str().unwrap().to_owned();
    home.exact
        .house
        .set_env("TIDEGATE_TEST_STOP_AT", &orders_text);
    for done in 1..=3 {
        fs::write(orders.join("vault.after_rewrap"), "").unwrap();
        let daemon = home.house().start_daemon();
        let rewrap = home.house().start(&["vault", "rewrap"]);
        let reached = orders.join("vault.after_rewrap.reached");
        assert!(eventually(|| reached.exists()));
        daemon.kill();
        drop(rewrap);
        fs::remove_file(reached).unwrap();
        let keys = home.keys();
        assert_eq!((keys[0].2, keys[1].2), (7 - done, done));
        home.verify();
        home.house().run(&["--run-now"]).expect_code(0);
    }
    let rewrapped = home.house().run(&["vault", "rewrap"]).expect_code(0);
    assert_eq!(
        rewrapped.stdout,
        "4 data keys brought under the current key\n"
    );
    home.verify();
}

#[test]
fn an_old_key_that_is_still_needed_is_missed_by_name() {
    let home = Home::new();
    home.change_key();
    let old = home.keys()[0].0.clone();
    home.configure("key = { file = \"new.key\" }");
    let block = home.house().run(&["--run-now"]).expect_code(2).stderr;
    assert!(block.contains("it was sealed with another one"), "{block}");
    assert!(block.contains(&format!("key {old}")) && block.contains("new.key"));

    home.configure("key = { file = \"new.key\" }\nold_keys = [{ file = \"vault.key\" }]");
    home.verify();
    // The new key is known now, and the old one is needed still.
    home.configure("key = { file = \"new.key\" }");
    let block = home.house().run(&["--run-now"]).expect_code(2).stderr;
    assert!(block.contains(&format!("still needs key {old}")), "{block}");
}

#[test]
fn a_reseal_leaves_nothing_that_the_old_data_keys_sealed() {
    let home = Home::new();
    let house = home.house();
    let vault = rusqlite::Connection::open(house.path("tidegate-state/vault.db")).unwrap();
    let sealed = || -> Vec<Vec<u8>> {
        let all = "SELECT refresh_token FROM credentials UNION ALL SELECT value FROM secrets
                   UNION ALL SELECT wrapped FROM data_keys";
        let mut statement = vault.prepare(all).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let before = sealed();
    let resealed = house.run(&["vault", "reseal"]).expect_code(0);
    assert!(resealed.stdout.starts_with("7 records sealed anew"));
    home.verify();
    let after = sealed();
    assert_eq!((before.len(), after.len()), (14, 14));
    drop(vault);
    let state = house.path("tidegate-state");
    for record in &before {
        assert!(!after.contains(record));
        assert_eq!(
            crate::files::with_bytes(&state, record),
            Vec::<String>::new()
        );
    }
    house.run(&["--run-now"]).expect_code(0);
    assert_eq!(
        holding(&house.path(""), "CANARY-0-5d1c"),
        Vec::<String>::new()
    );
}

#[test]
fn records_that_changed_places_do_not_open() {
    let home = Home::new();
    let vault = rusqlite::Connection::open(home.house().path("tidegate-state/vault.db")).unwrap();
    let value = |name: &str| -> Vec<u8> {
        let value = "SELECT value FROM secrets WHERE name = ?1";
        vault.query_row(value, [name], |row| row.get(0)).unwrap()
    };
    for (name, other) in [("s0", value("s1")), ("s1", value("s0"))] {
        let swap = "UPDATE secrets SET value = ?2 WHERE name = ?1";
        vault.execute(swap, (name, other)).unwrap();
    }
    vault
        .execute("UPDATE credentials SET refresh_token = access_token", [])
        .unwrap();
    drop(vault);
    let verified = home
        .house()
        .run(&["vault", "verify", "--json"])
        .expect_code(1);
    let found = verified.json();
    assert_eq!(found["secrets"], 4);
    assert_eq!(found["credentials"], 0);
    let unreadable = found["unreadable"].to_string();
    for what in ["refresh_token of connection `exact`", "`s0`", "`s1`"] {
        assert!(unreadable.contains(what), "{unreadable}");
    }
}

#[test]
fn a_data_key_that_has_sealed_much_is_replaced() {
    let home = Home::new();
    let vault = rusqlite::Connection::open(home.house().path("tidegate-state/vault.db")).unwrap();
    let key = || -> i64 {
        let key = "SELECT data_key FROM credentials";
        vault.query_row(key, [], |row| row.get(0)).unwrap()
    };
    let refresh = || {
        let ten_minutes = std::time::Duration::from_secs(600);
        home.house().clock().advance(ten_minutes).unwrap();
        home.house().run(&["--run-now"]).expect_code(0);
        key()
    };
    let before = key();
    assert_eq!(refresh(), before);
    // As if it had been made that many refreshes ago.
    let aged = "UPDATE data_keys SET generation = generation - 262144 WHERE data_key = ?1";
    vault.execute(aged, [before]).unwrap();
    let after = refresh();
    assert_ne!(after, before);
    assert_eq!(refresh(), after);
    drop(vault);
    home.verify();
}

#[test]
fn no_key_is_demanded_where_nothing_is_sealed() {
    let api = crate::support::Scripted::start(|_| crate::support::json(r#"[{"id":1}]"#));
    let url = &api.url;
    let house = TempHouse::new(&format!(
        "[connection.open]\nbase_url = \"{url}\"\npaging = \"none\"\n\
         [flow.order]\nconnection = \"open\"\nurl = \"/\"\nkey = [\"id\"]\n"
    ));
    fs::remove_file(house.path("vault.key")).unwrap();
    assert_eq!(house.run(&["check"]).expect_code(0).stderr, "");
    house.run(&["--run-now"]).expect_code(0);
    let mut command = house.start(&["secret", "set", "x"]);
    command.type_line("CANARY");
    let refused = command.finish().expect_code(2);
    assert!(
        refused.stderr.contains("`tidegate vault init`"),
        "{}",
        refused.stderr
    );
    house.run(&["vault", "init"]).expect_code(0);
    let mut command = house.start(&["secret", "set", "x"]);
    command.type_line("CANARY");
    command.finish().expect_code(0);
    let again = house.run(&["vault", "init"]).expect_code(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
}

#[test]
fn a_key_file_given_for_the_configuration_is_not_shown() {
    let house = TempHouse::new("");
    let key = fs::read_to_string(house.path("vault.key")).unwrap();
    fs::copy(house.path("vault.key"), house.config()).unwrap();
    let refused = house.run(&["check"]).expect_code(2);
    assert!(
        refused.stderr.contains("not valid TOML"),
        "{}",
        refused.stderr
    );
    assert!(!refused.stderr.contains(&key[..16]), "{}", refused.stderr);
}
