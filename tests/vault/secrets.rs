//! Secrets that the configuration only names.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use crate::files::holding;
use crate::support::{Ran, Scripted, TempHouse, json};

const FIRST: &str = "CANARY-sealed-one-93b1";
const SECOND: &str = "CANARY-sealed-two-07fe";

/// A house with an API that wants a sealed token.
struct Shop {
    house: TempHouse,
    api: Scripted,
}

impl Shop {
    fn new() -> Self {
        let api = Scripted::start(|_| json(r#"[{"id":1}]"#));
        let config = format!(
            r#"
[connection.shop]
base_url = "{}"
token = {{ vault = "shop" }}
paging = "none"

[flow.order]
connection = "shop"
url = "/orders"
key = ["id"]
"#,
            api.url
        );
        Self {
            house: TempHouse::new(&config),
            api,
        }
    }

    /// Pipes a secret in.
    fn set(&self, secret: &str) -> Ran {
        let mut command = self.house.start(&["secret", "set", "shop"]);
        command.type_line(secret);
        command.finish()
    }

    /// Returns what the API was last shown as a proof.
    fn shown(&self) -> String {
        let asked = self.api.asked();
        let headers = &asked.last().unwrap().headers;
        let proof = headers
            .lines()
            .find_map(|line| line.strip_prefix("authorization: "));
        proof.unwrap().to_owned()
    }
}

#[test]
fn a_sealed_secret_is_used_replaced_and_removed() {
    let shop = Shop::new();
    let house = &shop.house;
    let warned = house.run(&["check"]).expect_code(0);
    let wanted = "the vault has no secret `shop` yet; type `tidegate secret set shop`";
    assert!(warned.stderr.contains(wanted), "{}", warned.stderr);
    let refused = house.run(&["--run-now"]).expect_code(1);
    assert!(
        refused.stderr.contains("type `tidegate secret set shop`"),
        "{}",
        refused.stderr
    );
    assert!(shop.api.asked().is_empty());

    let set = shop.set(FIRST).expect_code(0);
    assert_eq!(set.stdout, "sealed `shop`\n");
    assert_eq!(house.run(&["check"]).expect_code(0).stderr, "");
    house.run(&["--run-now"]).expect_code(0);
    assert_eq!(shop.shown(), format!("Bearer {FIRST}"));

    // A running service uses the next one at once.
    let daemon = house.start_daemon();
    shop.set(SECOND).expect_code(0);
    house.run(&["--run-now"]).expect_code(0);
    assert_eq!(shop.shown(), format!("Bearer {SECOND}"));
    let listed = house.run(&["secret", "list", "--json"]).json();
    assert_eq!(listed[0]["name"], "shop");
    assert_eq!(listed[0]["referred_to"], true);
    let kept = house.run(&["secret", "remove", "shop"]).expect_code(2);
    assert!(
        kept.stderr.contains("the configuration refers to"),
        "{}",
        kept.stderr
    );
    house.run(&["--run-now"]).expect_code(0);
    house
        .run(&["secret", "remove", "shop", "--force"])
        .expect_code(0);
    house.run(&["--run-now"]).expect_code(1);
    let again = house.run(&["secret", "remove", "shop", "--force"]);
    assert!(
        again.expect_code(2).stderr.contains("has no secret `shop`"),
        "a secret is removed once"
    );
    let said = daemon.kill();
    for secret in [FIRST, SECOND] {
        assert_eq!(holding(&house.path(""), secret), Vec::<String>::new());
        assert!(!said.stderr.contains(secret));
    }
}

#[test]
fn what_cannot_be_a_secret_is_refused_before_it_is_sealed() {
    let shop = Shop::new();
    for (typed, why) in [
        ("", "the secret is empty"),
        (&*"x".repeat((64 << 10) + 1), "is longer than 64 KiB"),
    ] {
        let refused = shop.set(typed).expect_code(2);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
    let refused = shop.house.run(&["secret", "set", "no name"]).expect_code(2);
    assert!(refused.stderr.contains("a name has letters"));
    shop.set(&"x".repeat(64 << 10)).expect_code(0);
}

#[test]
fn the_owner_takes_no_key_from_the_vault_that_the_key_seals() {
    let house = TempHouse::new("[vault]\nkey = { vault = \"x\" }\n");
    let refused = house.run(&["check"]).expect_code(2);
    assert!(
        refused.stderr.contains("expected { file = … }"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_typed_secret_is_not_shown() {
    let shop = Shop::new();
    let (mut ours, theirs) = terminal();
    let mut command = shop.house.command(&["secret", "set", "shop"]);
    let talk = theirs.try_clone().unwrap();
    command.stdin(theirs).stderr(talk).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut seen = String::new();
    let mut bytes = [0; 1024];
    while !seen.contains("not shown:") {
        let read = ours.read(&mut bytes).unwrap();
        seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    writeln!(ours, "{FIRST}").unwrap();
    assert!(child.wait().unwrap().success());
    // A terminal that nobody holds open any more ends with an error.
    while let Ok(read @ 1..) = ours.read(&mut bytes) {
        seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    assert!(!seen.contains("CANARY"), "{seen}");
    shop.house.run(&["--run-now"]).expect_code(0);
    assert_eq!(shop.shown(), format!("Bearer {FIRST}"));
}

/// Returns the two ends of a new terminal: the person's and the program's.
fn terminal() -> (std::fs::File, OwnedFd) {
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let theirs = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
    (ours.into(), theirs)
}
