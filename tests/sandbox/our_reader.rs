//! The house's own reader at the sandbox: what it is for, it must read.

use std::sync::{Arc, Mutex};

use tidegate::clock::{Clock, SimClock};
use tidegate::config::{self, Config, Each};
use tidegate::fetch::{self, Error, Limits, Start, Waiting, World};
use tidegate::http::{Authorization, Client};
use tidegate::record::CursorValue;
use tidegate::sandbox::{At, Canned, Fault, Settings};
use tidegate::secret::Secret;

use super::guest::Guest;

struct Reader {
    guest: Guest,
    config: Config,
    limits: Limits,
    authorization: Authorization,
    waits: Mutex<Vec<Waiting>>,
}

impl Reader {
    async fn arrive(settings: Settings) -> Self {
        let guest = Guest::arrive(settings).await;
        let text = format!(
            r#"
            [connection.exact]
            provider = "exact-online"
            base_url = "{}"
            client_id = "x"
            client_secret = {{ env = "NOT_NEEDED_HERE" }}
            redirect_uri = "https://tidegate.example/oauth-callback"
            limits = []

            [flow.project]
            connection = "exact"
            vars = {{ division = 123456 }}
            url = "/api/v1/{{{{ var.division }}}}/project/Projects"
            query = {{ "$select" = "ID,Code,Description,Modified" }}
            cursor = {{ field = "Modified", filter = "Modified ge datetime'{{{{ bookmark }}}}'" }}
            key = ["ID"]
            "#,
            guest.sandbox.base_url()
        );
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tidegate.toml");
        std::fs::write(&path, text).unwrap();
        let config = config::load(&path).unwrap_or_else(|report| panic!("{report}"));
        let token = Secret::from(guest.sign_in().await.access);
        Self {
            guest,
            config,
            limits: Limits::new(&config::Manners::default()),
            authorization: Authorization::bearer(&token),
            waits: Mutex::default(),
        }
    }

    /// Reads from `since` to the end; how many records and pages came.
    async fn read(&self, since: Option<CursorValue>) -> Result<(usize, u64), Error> {
        let flow = &self.config.flows["project"];
        let start = Start {
            account: None,
            facts: Arc::default(),
            each: Each::new(),
            since,
            delta: None,
            until: CursorValue::Instant(self.guest.now()),
            now: self.guest.now(),
        };
        let connection = self.config.connection(flow);
        let mut pages = fetch::pages(connection, &flow.resource, &start)?;
        let clock: SimClock = self.guest.clock.clone();
        let told = |waiting: Waiting| {
            clock.set(waiting.until.max(clock.now()));
            self.waits.lock().unwrap().push(waiting);
        };
        let http = Client::new();
        let world = World {
            http: &http,
            clock: &clock,
            limits: &self.limits,
            hosts: &fetch::Hosts::default(),
            authorization: Some(&self.authorization),
            told: &told,
        };
        let (mut records, mut number) = (0, 0);
        while let Some(page) = pages.next(&world).await? {
            records += page.texts().filter(|text| text.contains("\"ID\"")).count();
            number = page.number;
        }
        Ok((records, number))
    }

    fn statuses(&self) -> Vec<u16> {
        let requests = self.guest.sandbox.ledger().api_requests();
        requests.into_iter().map(|request| request.status).collect()
    }
}

#[tokio::test]
async fn our_reader_reads_every_project_without_ever_being_told_to_slow_down() {
    let settings = Settings {
        projects: 900,
        calls_per_minute: 7,
        ..Settings::default()
    };
    let reader = Reader::arrive(settings).await;
    assert_eq!(reader.read(None).await.unwrap(), (900, 15));
    assert!(reader.statuses().iter().all(|status| *status == 200));
    assert_eq!(reader.waits.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn our_reader_reads_what_changed_since() {
    let reader = Reader::arrive(Settings::default()).await;
    reader.guest.pass(60);
    let since = reader
        .guest
        .now()
        .to_zoned(jiff::tz::TimeZone::get("Europe/Amsterdam").unwrap());
    let since = CursorValue::Civil(since.datetime());
    reader.guest.pass(1);
    reader.guest.sandbox.change_projects(7);
    assert_eq!(reader.read(Some(since)).await.unwrap(), (7, 1));
}

#[tokio::test]
async fn our_reader_gets_over_a_bad_moment() {
    let reader = Reader::arrive(Settings::default()).await;
    let sandbox = &reader.guest.sandbox;
    for fault in [
        Fault::Refuse(Canned::Gateway),
        Fault::Cut,
        Fault::Drop,
        Fault::Refuse(Canned::RetryAfter(45)),
    ] {
        sandbox.inject(At::Api, fault, 1);
    }
    assert_eq!(reader.read(None).await.unwrap(), (300, 5));

    sandbox.inject(At::Api, Fault::Refuse(Canned::Html(200)), 1);
    let error = reader.read(None).await.unwrap_err();
    assert!(matches!(error, Error::NotJson { .. }), "{error}");
}

#[tokio::test]
async fn our_reader_says_when_its_token_has_expired() {
    let reader = Reader::arrive(Settings::default()).await;
    reader.guest.pass(601);
    let error = reader.read(None).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert_eq!(reader.statuses(), [401]);
}
