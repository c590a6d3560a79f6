//! Many connections with tokens of ten minutes, kept fresh by one process: none late, none twice.
//!
//! `./test` keeps a few dozen fresh for a simulated hour. The same with other numbers:
//! `TIDEGATE_CONNECTIONS=10000 TIDEGATE_HOURS=1 cargo test --test fleet -- --nocapture`
//! prints what it cost, and with `TIDEGATE_REAL_MINUTES=10` it runs by the machine's clock.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and its backtrace says where; its figures are what it is for"
)]

#[path = "../support/mod.rs"]
mod support;

mod authority;
mod cost;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use authority::Authority;
use cost::Cost;
use jiff::{SignedDuration, Timestamp};
use support::TempHouse;
use tidegate::clock::{self, Clock, LOOK_AGAIN, SharedClock, SimClock, SystemClock};
use tidegate::config::{self, Account, Auth, Connection, Name};
use tidegate::http;
use tidegate::oauth::{Keeper, State};
use tidegate::seal::RootKey;
use tidegate::store::{self, Store};

/// The life of every access token.
const LIFE: Duration = Duration::from_secs(600);
/// How many authorization servers the connections are spread over.
const SERVERS: usize = 20;
/// What is tested unless the environment says otherwise.
const CONNECTIONS: usize = 60;
/// Over how many seconds overdue refreshes are spread.
const SPREAD_S: usize = 30;
/// How many people sign in at the same time.
const PEOPLE: usize = 64;

struct Fleet {
    house: TempHouse,
    connections: BTreeMap<Name, Connection>,
    keeper: Keeper,
    authorities: Vec<Authority>,
    clock: SharedClock,
}

impl Fleet {
    async fn new(connections: usize, clock: SharedClock) -> Self {
        let mut authorities = Vec::new();
        for _ in 0..SERVERS {
            authorities.push(Authority::start(Arc::clone(&clock), LIFE).await);
        }
        let house = TempHouse::new(&configuration(&authorities));
        let config = config::load(&house.config()).unwrap_or_else(|report| panic!("{report}"));
        std::fs::create_dir(house.path("state")).unwrap();
        let connections = multiplied(&config.connections, connections);
        Self {
            keeper: opened(&house, &connections, &clock).await,
            house,
            connections,
            authorities,
            clock,
        }
    }

    /// Ends the keeper and starts another one on the same vault.
    async fn restart(&mut self) {
        self.keeper.drain().await;
        self.keeper = opened(&self.house, &self.connections, &self.clock).await;
    }

    /// Signs in everywhere.
    async fn sign_in(&self, connections: usize) {
        let mut logins = tokio::task::JoinSet::new();
        for number in 0..connections {
            if logins.len() >= PEOPLE {
                logins.join_next().await.unwrap().unwrap();
            }
            let keeper = self.keeper.clone();
            logins.spawn(async move {
                let account = Account::of(&Name::parse(&format!("c{number}")).unwrap());
                let start = keeper.begin_login(&account).await.unwrap();
                let mut query = start.authorize_url.query_pairs();
                let (_, login) = query.find(|(name, _)| name == "state").unwrap();
                let back = format!("{}?code=c{number}&state={login}", start.redirect_uri);
                keeper.finish_login(&start.id, &back).await.unwrap();
            });
        }
        while let Some(login) = logins.join_next().await {
            login.unwrap();
        }
    }

    /// Tends until no exchange is under way, and returns when to look again. The clock stands still.
    async fn settle(&self) -> Option<Timestamp> {
        loop {
            let next = self.keeper.tend_due(|_| None);
            if self.keeper.under_way() == 0 {
                return next;
            }
            self.keeper.any_landed().await;
        }
    }

    /// Lets `hours` pass on a clock that stands still while there is anything to do.
    async fn live(&self, clock: &SimClock, hours: u64) {
        let end = clock::after(clock.now(), Duration::from_secs(hours * 3600));
        self.keeper.tend(|_| None);
        while clock.now() < end {
            let next = self.settle().await.unwrap_or(end);
            clock.set(
                next.max(clock.now() + SignedDuration::from_millis(1))
                    .min(end),
            );
        }
    }

    /// Lets `minutes` pass by the machine's clock, tending as the service does.
    async fn live_through(&self, minutes: u64) {
        let end = clock::after(self.clock.now(), Duration::from_secs(minutes * 60));
        let mut all_again = self.clock.now();
        while self.clock.now() < end {
            let now = self.clock.now();
            let next = if all_again <= now {
                all_again = clock::after(now, LOOK_AGAIN);
                self.keeper.tend(|_| None)
            } else {
                self.keeper.tend_due(|_| None)
            };
            let wake = next.map_or(all_again, |next| next.min(all_again));
            tokio::select! {
                () = self.clock.sleep_until(wake.min(end)) => {}
                () = self.keeper.any_landed() => {}
            }
        }
        self.keeper.drain().await;
    }

    fn refreshes(&self) -> usize {
        self.authorities.iter().map(Authority::refreshes).sum()
    }

    /// None was late, none came twice, and all is well.
    fn assert_well(&self, connections: usize) {
        let complaints: Vec<String> = self
            .authorities
            .iter()
            .flat_map(Authority::complaints)
            .collect();
        assert!(
            complaints.is_empty(),
            "{} of {complaints:#?}",
            complaints.len()
        );
        let health = self.keeper.health();
        assert_eq!(health.len(), connections);
        let now = self.clock.now();
        for health in health {
            assert_eq!(health.state, State::Ok, "{health:?}");
            assert!(health.expires_at.unwrap() > now, "{health:?}");
        }
    }
}

async fn opened(
    house: &TempHouse,
    connections: &BTreeMap<Name, Connection>,
    clock: &SharedClock,
) -> Keeper {
    let state = house.path("state");
    let keeper = Keeper::open(
        &state,
        Store::open(&state.join("vault.db"), &store::VAULT).unwrap(),
        Some(RootKey::new(&[1; 32]).into()),
        connections,
        http::Client::new(),
        Arc::clone(clock),
    );
    keeper.await.unwrap()
}

/// Writes one connection per server.
fn configuration(authorities: &[Authority]) -> String {
    let mut text = "state_dir = \"state\"\n".to_owned();
    for (number, authority) in authorities.iter().enumerate() {
        let url = &authority.url;
        write!(
            text,
            "[connection.s{number}]\nclient_id = \"any\"\ntoken_url = \"{url}\"\n\
             authorize_url = \"{url}\"\nredirect_uri = \"http://127.0.0.1:1/back\"\n\
             base_url = \"{url}\"\n"
        )
        .unwrap();
    }
    text
}

/// Makes many connections of a few, each with a client of its own.
fn multiplied(few: &BTreeMap<Name, Connection>, connections: usize) -> BTreeMap<Name, Connection> {
    let models = few.values().cycle().take(connections).enumerate();
    models
        .map(|(number, model)| {
            let mut connection = model.clone();
            connection.name = Name::parse(&format!("c{number}")).unwrap();
            if let Auth::OAuth(oauth) = &mut connection.auth {
                oauth.client_id = connection.name.to_string();
            }
            (connection.name.clone(), connection)
        })
        .collect()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_kept_fresh_with_none_late_and_none_twice() {
    let connections = number("TIDEGATE_CONNECTIONS").map_or(CONNECTIONS, |number| number as usize);
    let started = Cost::now();
    if let Some(minutes) = number("TIDEGATE_REAL_MINUTES") {
        let fleet = Fleet::new(connections, Arc::new(SystemClock)).await;
        fleet.sign_in(connections).await;
        println!("signed in {connections} times: {}", Cost::since(&started));
        let before = Cost::now();
        fleet.live_through(minutes).await;
        println!(
            "{} refreshes in {minutes} min: {}",
            fleet.refreshes(),
            Cost::since(&before)
        );
        fleet.assert_well(connections);
        return;
    }
    let hours = number("TIDEGATE_HOURS").unwrap_or(1);
    let clock = SimClock::new("2026-01-05T08:00:00Z".parse().unwrap());
    let fleet = Fleet::new(connections, Arc::new(clock.clone())).await;
    println!(
        "opened {connections} connections: {}",
        Cost::since(&started)
    );
    fleet.sign_in(connections).await;
    println!("signed in: {}", Cost::since(&started));
    let before = Cost::now();
    fleet.live(&clock, hours).await;
    let refreshes = fleet.refreshes();
    println!(
        "{refreshes} refreshes in {hours} h: {}",
        Cost::since(&before)
    );
    fleet.assert_well(connections);
    // A token of ten minutes is replaced between its half and its last minute.
    let least = connections * hours as usize * 6;
    assert!((least..=least * 2).contains(&refreshes), "{refreshes}");
}

/// The servers that were not asked for an hour are not asked by everybody in the same second.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_start_finds_overdue_is_spread_over_half_a_minute() {
    let clock = SimClock::new("2026-01-05T08:00:00Z".parse().unwrap());
    let mut fleet = Fleet::new(CONNECTIONS, Arc::new(clock.clone())).await;
    fleet.sign_in(CONNECTIONS).await;
    clock.advance(Duration::from_secs(3600));
    fleet.restart().await;
    fleet.keeper.tend(|_| None);
    let mut most = 0;
    let mut before = 0;
    for _ in 0..=SPREAD_S {
        fleet.settle().await;
        let so_far = fleet.refreshes();
        most = most.max(so_far - before);
        before = so_far;
        clock.advance(Duration::from_secs(1));
    }
    assert_eq!(before, CONNECTIONS, "every one was refreshed, and once");
    assert!(most <= CONNECTIONS / 6, "{most} in one second");
}
