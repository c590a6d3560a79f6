//! What happens: everything refreshes, the process is killed, the next one finds what is left.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tidegate::clock::{Clock, until};

use crate::fate::{End, Fate, Point};
use crate::support::{
    Dice, GRACE, LIFE, OnRecord, Presented, RescueFile, RotatingServer, Rotation, Running,
    TempHouse, Vault, eventually, paste_login,
};
use crate::tally::Tally;

/// From one token to a moment at which every connection refreshes ahead, and none has to.
const INTO_THE_WINDOW: Duration = Duration::from_secs(545);
/// The longest a service is down, and the next comes in time for every grace.
const SOON: Duration = Duration::from_secs(20);
/// How fast time moves while a connection waits to try again, and while nothing seems to happen.
const PAUSING: Duration = Duration::from_millis(250);
const IDLING: Duration = Duration::from_secs(1);
/// How many looks it may take, with the clock standing still, until something happens.
const LOOKS_STILL: u32 = 100;
/// The longest time, on the test's clock, within which a doubt must have ended.
const LADDER: Duration = Duration::from_secs(150);

/// One connection and its server.
#[derive(Debug)]
struct Grant {
    rotation: Rotation,
    server: RotatingServer,
}

impl Grant {
    fn name(&self) -> &'static str {
        self.rotation.name()
    }
}

/// What a connection was before a kill, and what will happen to it.
#[derive(Debug)]
struct Cast {
    fate: Fate,
    generation: i64,
    presented: usize,
}

#[derive(Debug)]
pub(crate) struct Story {
    // Killed before its house goes.
    daemon: Option<Running>,
    house: TempHouse,
    grants: Vec<Grant>,
    dice: Dice,
    pub(crate) tally: Tally,
}

impl Story {
    /// Moves in beside six servers and signs in to each.
    pub(crate) fn begin(seed: u64) -> Self {
        let mut house = TempHouse::new("");
        fs::create_dir(house.path("orders")).unwrap();
        let orders = house.path("orders").display().to_string();
        house.set_env("TIDEGATE_TEST_STOP_AT", &orders);
        let grants: Vec<Grant> = Rotation::ALL
            .into_iter()
            .map(|rotation| Grant {
                rotation,
                server: RotatingServer::start(&house, rotation.name(), rotation),
            })
            .collect();
        let connections: String = grants.iter().map(connection).collect();
        house.write_private(
            "tidegate.toml",
            &format!("max_concurrent = 6\n{connections}"),
        );
        let mut story = Self {
            daemon: None,
            house,
            grants,
            dice: Dice::new(seed),
            tally: Tally::default(),
        };
        for rotation in Rotation::ALL {
            paste_login(&story.house, rotation.name()).expect_code(0);
        }
        story.daemon = Some(story.house.start_daemon());
        story
    }

    /// Refreshes everything, kills the process in the middle of it, restarts it, and holds what
    /// comes of it against the servers' ledgers.
    pub(crate) fn round(&mut self) {
        let casts = self.cast();
        let victim = self.bring_everybody_to_their_points();
        self.wait_until_all_are_there(&casts);
        let killed = victim.kill();
        assert_eq!(killed.code, None, "it ended by itself: {killed:#?}");
        for (grant, cast) in self.grants.iter().zip(&casts) {
            grant.server.let_go(cast.fate.works_on);
            assert!(eventually(|| !grant.server.is_busy()));
            grant.server.order(&cast.fate.troubles);
        }
        self.expect_hits(&casts);

        let down_time = self.stay_down();
        self.daemon = Some(self.house.start_daemon());
        self.wait_until_settled(&casts);
        for (grant, cast) in self.grants.iter().zip(&casts) {
            grant.server.order(&[]);
            let end = cast.fate.end(grant.rotation, down_time);
            let (doubts, again) = self.judge(grant, cast, end);
            let at = (cast.fate.point, grant.rotation);
            self.tally.note(at, end, doubts, again);
        }
        let lost = |(grant, cast): (&Grant, &Cast)| {
            let end = cast.fate.end(grant.rotation, down_time);
            (end == End::NeedsLogin).then_some(grant.name())
        };
        let lost: Vec<&str> = self.grants.iter().zip(&casts).filter_map(lost).collect();
        self.expect_shown(&lost);
        for name in lost {
            paste_login(&self.house, name).expect_code(0);
        }
    }

    /// Lets chance decide what happens to each connection, and orders it.
    fn cast(&mut self) -> Vec<Cast> {
        let vault = Vault::of_living(&self.state_dir());
        let mut casts = Vec::new();
        for grant in &self.grants {
            let record = vault.on_record(grant.name());
            assert_eq!((&*record.state, record.open), ("ok", None), "{record:?}");
            let fate = Fate::cast(&mut self.dice);
            if let Some(order) = fate.point.order() {
                fs::write(self.order(grant, order), "").unwrap();
            }
            if let Some(hold) = fate.point.hold() {
                grant.server.hold_next(hold);
            }
            casts.push(Cast {
                fate,
                generation: record.generation,
                presented: grant.server.presented().len(),
            });
        }
        casts
    }

    /// Makes every connection refresh: in the daemon, or because runs need it. Returns the process.
    fn bring_everybody_to_their_points(&mut self) -> Running {
        let daemon = self.daemon.take().expect("there is one between rounds");
        let clock = self.house.clock();
        if self.dice.percent(50) {
            self.tally.daemons += 1;
            clock.advance(INTO_THE_WINDOW).unwrap();
            return daemon;
        }
        daemon.terminate();
        daemon.finish().expect_code(0);
        self.tally.one_shots += 1;
        clock.advance(LIFE + Duration::from_secs(1)).unwrap();
        self.house.start(&["--run-now"])
    }

    fn wait_until_all_are_there(&self, casts: &[Cast]) {
        for (grant, Cast { fate, .. }) in self.grants.iter().zip(casts) {
            let is_there = || match fate.point.order() {
                Some(order) => self.order(grant, &format!("{order}.reached")).exists(),
                None => grant.server.is_held(),
            };
            assert!(eventually(is_there), "{} is not at {fate:?}", grant.name());
        }
        for file in fs::read_dir(self.house.path("orders")).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
    }

    /// Fails the test unless the dead process was where it was meant to be.
    fn expect_hits(&self, casts: &[Cast]) {
        let vault = Vault::of_dead(&self.state_dir());
        for (grant, cast) in self.grants.iter().zip(casts) {
            let record = vault.on_record(grant.name());
            let point = cast.fate.point;
            let attempt = vault.attempt(grant.name(), cast.generation);
            let file = vault.rescue_file(attempt.expect("it was written down"));
            let is_stored = point >= Point::Commit;
            let found = (
                record.generation,
                record.open,
                file,
                grant.server.presented().len() - cast.presented,
            );
            let expected = (
                cast.generation + i64::from(is_stored),
                attempt.filter(|_| !is_stored),
                match point {
                    Point::Intent | Point::Send | Point::ServerCommit => RescueFile::Reserved,
                    Point::RescueWrite | Point::Commit => RescueFile::Kept,
                    Point::Unlink => RescueFile::None,
                },
                usize::from(point != Point::Intent),
            );
            assert_eq!(found, expected, "{}: {cast:?}", grant.name());
        }
    }

    /// Lets the time pass until the next start; returns how long that is.
    fn stay_down(&mut self) -> Duration {
        let down_time = match self.dice.percent(50) {
            true => self.dice.up_to(SOON),
            false => GRACE + self.dice.up_to(GRACE),
        };
        self.house.clock().advance(down_time).unwrap();
        down_time
    }

    /// Moves the clock, where somebody waits for it, until no doubt is left.
    fn wait_until_settled(&self, casts: &[Cast]) {
        let clock = self.house.clock();
        let began_at = clock.now();
        let mut looks_still = 0;
        loop {
            let vault = Vault::of_living(&self.state_dir());
            let mut unsettled = self.grants.iter().zip(casts).filter(|(grant, cast)| {
                !is_settled(&vault.on_record(grant.name()), cast.generation)
            });
            let Some((grant, cast)) = unsettled.next() else {
                return;
            };
            // Whoever was asked again and not content pauses before the next try.
            let is_pausing = |(grant, cast): (&Grant, &Cast)| {
                !cast.fate.troubles.is_empty()
                    && !grant.server.is_busy()
                    && grant.server.presented().len() > cast.presented
            };
            let pauses = is_pausing((grant, cast)) || unsettled.any(is_pausing);
            looks_still += 1;
            if pauses {
                clock.advance(PAUSING).unwrap();
            } else if looks_still > LOOKS_STILL {
                clock.advance(IDLING).unwrap();
            }
            assert!(
                until(began_at, clock.now()) < LADDER,
                "{} stalls: {cast:?}, {:?}",
                grant.name(),
                vault.on_record(grant.name())
            );
            eventually_a_little_later();
        }
    }

    /// Holds one connection against its server's ledger; returns how many attempts were in doubt
    /// and how often a refresh token was presented again.
    fn judge(&self, grant: &Grant, cast: &Cast, end: End) -> (u32, u32) {
        let vault = Vault::of_living(&self.state_dir());
        let record = vault.on_record(grant.name());
        let presented = &grant.server.presented()[cast.presented..];
        let shown = || format!("{}: {cast:?}, {record:?}, {presented:#?}", grant.name());
        match end {
            End::Ok => assert_eq!(
                (record.generation, &*record.state),
                (cast.generation + 1, "ok"),
                "{}",
                shown()
            ),
            End::NeedsLogin => assert_eq!(
                (&*record.state, record.reason.as_deref()),
                ("needs_login", Some("rotation_answer_lost")),
                "{}",
                shown()
            ),
        }
        for one in presented {
            expect_written_down(one, &shown);
        }
        if cast.fate.point.is_answer_safe() {
            assert_eq!(presented.len(), 1, "{}", shown());
        }
        assert_eq!(grant.server.most_in_flight(), 1, "{}", shown());
        let attempt = vault.attempt(grant.name(), cast.generation).unwrap();
        let is_tidy = || vault.rescue_file(attempt) == RescueFile::None;
        assert!(eventually(is_tidy), "{}", shown());
        let again = presented.iter().filter(|one| one.times > 1).count();
        (vault.doubts(grant.name(), cast.generation), again as u32)
    }

    /// Fails the test unless data flow where all is well, and a person is told where it is not.
    fn expect_shown(&self, lost: &[&str]) {
        // So that no access token from before the kill helps.
        self.house.clock().advance(Duration::from_secs(61)).unwrap();
        let code = if lost.is_empty() { 0 } else { 3 };
        let ran = self.house.run(&["--run-now", "--json"]).expect_code(code);
        let ended = ran.ended();
        for grant in &self.grants {
            let expected = match lost.contains(&grant.name()) {
                true => "failed",
                false => "succeeded",
            };
            assert_eq!(ended[grant.name()]["outcome"], expected, "{ran:#?}");
        }
        for name in lost {
            let hint = ended[*name]["hint"].as_str().unwrap();
            assert!(hint.contains(&format!("tidegate login {name}")), "{ran:#?}");
        }
        let shown = self.house.run(&["connections", "--json"]).expect_code(code);
        for connection in shown.json().as_array().unwrap() {
            let is_lost = lost.contains(&connection["connection"].as_str().unwrap());
            let expected = if is_lost { "needs_login" } else { "ok" };
            assert_eq!(connection["state"], expected, "{connection}");
        }
    }

    fn state_dir(&self) -> PathBuf {
        self.house.path("tidegate-state")
    }

    fn order(&self, grant: &Grant, order: &str) -> PathBuf {
        self.house.path(format!("orders/{}.{order}", grant.name()))
    }
}

fn connection(grant: &Grant) -> String {
    let (name, url) = (grant.name(), grant.server.url());
    format!(
        r#"
[connection.{name}]
base_url = "{url}"
authorize_url = "/authorize"
token_url = "/token"
client_id = "tidegate"
client_auth = "none"
redirect_uri = "https://tidegate.example/callback"

[flow.{name}]
connection = "{name}"
url = "/items"
paging = "none"
records = "items"
key = ["id"]
"#
    )
}

/// A connection is settled when a definite answer has come, whatever it says.
fn is_settled(record: &OnRecord, before: i64) -> bool {
    let is_answered = record.generation > before || record.state == "needs_login";
    record.open.is_none() && is_answered
}

/// Fails the test unless the vault had said, at that moment, that this token is about to be sent,
/// and that it may be spent if it was sent before.
fn expect_written_down(one: &Presented, shown: &dyn Fn() -> String) {
    let record = &one.on_record;
    assert!(record.open.is_some(), "no attempt is open: {}", shown());
    assert!(record.tries >= one.times, "unwritten: {}", shown());
    let needs_doubt = one.times > 1 || one.was_spent;
    assert!(record.in_doubt || !needs_doubt, "no doubt: {}", shown());
}

/// Waits a moment for what happens in another process.
#[expect(
    clippy::disallowed_methods,
    reason = "another process knows no other clock"
)]
fn eventually_a_little_later() {
    std::thread::sleep(Duration::from_millis(5));
}
