//! Sealing, losing races, and what a restart finds.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::{Attempt, Error, Intent, Kind, Vault};
use crate::clock;
use crate::config::{Account, Facts, Name};
use crate::oauth::grant::Tokens;
use crate::oauth::standing::Reason;
use crate::seal::RootKey;
use crate::secret::{ExposeSecret, Secret};
use crate::store::{self, Store};

fn now() -> Timestamp {
    "2025-03-02T06:00:00Z".parse().unwrap()
}

fn account() -> Account {
    Account::of(&Name::parse("exact").unwrap())
}

fn tokens(access: &str, refresh: Option<&str>) -> Tokens {
    Tokens {
        access_token: Secret::from(access),
        refresh_token: refresh.map(Secret::from),
        lifetime: Some(Duration::from_secs(600)),
        refresh_lifetime: None,
        scope: None,
        id_token: None,
        person: None,
        facts: Facts::default(),
        assumed: None,
    }
}

async fn open(directory: &Path, key: u8) -> Result<Vault, Error> {
    let store = Store::open(&directory.join("vault.db"), &store::VAULT)?;
    let keys = Some(RootKey::new(&[key; 32]).into());
    Vault::open(directory, store, keys, now()).await
}

async fn begin(vault: &Vault, kind: Kind, generation: Option<u64>) -> Attempt {
    let intent = Intent {
        account: account(),
        kind,
        generation,
        fingerprint: None,
        at: now(),
        counts_until: None,
    };
    vault.begin(intent).await.unwrap()
}

async fn signed_in(directory: &Path) -> Vault {
    let vault = open(directory, 1).await.unwrap();
    let attempt = begin(&vault, Kind::Code, None).await;
    vault
        .commit(&attempt, &tokens("a1", Some("r1")), None, now())
        .await
        .unwrap();
    vault
}

async fn refresh_token(vault: &Vault, generation: u64) -> Option<String> {
    let token = vault.refresh_token(&account(), generation).await.unwrap();
    token.map(|token| token.expose_secret().to_owned())
}

#[tokio::test]
async fn a_wrong_key_is_told_apart_from_damage_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    drop(signed_in(directory.path()).await);
    let wrong = open(directory.path(), 2).await.err().unwrap();
    assert!(matches!(wrong, Error::WrongKey { .. }), "{wrong:?}");
    assert!(wrong.to_string().contains("sealed with another"), "{wrong}");

    let vault = open(directory.path(), 1).await.unwrap();
    assert_eq!(refresh_token(&vault, 1).await.as_deref(), Some("r1"));
    let damage = |sql: &'static str| {
        vault
            .store
            .write(move |tx| Ok::<_, store::Error>(tx.execute(sql, [])?))
    };
    damage("UPDATE credentials SET refresh_token = access_token")
        .await
        .unwrap();
    let unreadable = vault.refresh_token(&account(), 1).await.unwrap_err();
    assert!(
        matches!(unreadable, Error::Unreadable { .. }),
        "{unreadable:?}"
    );
    damage("DELETE FROM facts").await.unwrap();
    let damaged = open(directory.path(), 1).await.err().unwrap();
    assert!(matches!(damaged, Error::Damaged { .. }), "{damaged:?}");
}

#[tokio::test]
async fn a_refresh_keeps_what_the_answer_leaves_unsaid() {
    let directory = tempfile::tempdir().unwrap();
    let vault = signed_in(directory.path()).await;
    let attempt = begin(&vault, Kind::Refresh, Some(1)).await;
    let kept = vault
        .commit(&attempt, &tokens("a2", None), None, now())
        .await
        .unwrap();
    assert!(kept.has_refresh_token && !kept.rotates);
    assert_eq!(refresh_token(&vault, 2).await.as_deref(), Some("r1"));
    assert_eq!(refresh_token(&vault, 1).await, None);

    let attempt = begin(&vault, Kind::Refresh, Some(2)).await;
    vault
        .commit(&attempt, &tokens("a3", Some("r3")), None, now())
        .await
        .unwrap();
    let loaded = vault.load(&account()).await.unwrap().unwrap();
    assert_eq!((loaded.generation, loaded.rotates), (3, true));
    assert_eq!(loaded.access_token.expose_secret(), "a3");
    assert_eq!(
        loaded.expires_at,
        Some(clock::after(now(), Duration::from_secs(600)))
    );
}

#[tokio::test]
async fn a_loser_overwrites_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let vault = signed_in(directory.path()).await;
    let slow = begin(&vault, Kind::Refresh, Some(1)).await;
    let login = begin(&vault, Kind::Code, None).await;
    vault
        .commit(&login, &tokens("a2", Some("r2")), None, now())
        .await
        .unwrap();
    let lost = vault
        .commit(&slow, &tokens("a9", Some("r9")), None, now())
        .await
        .unwrap_err();
    assert!(matches!(lost, Error::Conflict { .. }), "{lost:?}");
    assert_eq!(refresh_token(&vault, 2).await.as_deref(), Some("r2"));
    let intent = Intent {
        account: account(),
        kind: Kind::Refresh,
        generation: Some(1),
        fingerprint: None,
        at: now(),
        counts_until: None,
    };
    assert!(matches!(
        vault.begin(intent).await.err().unwrap(),
        Error::Conflict { .. }
    ));
}

#[tokio::test]
async fn an_open_attempt_and_its_answer_survive_a_restart_and_a_torn_answer_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let vault = signed_in(directory.path()).await;
    let attempt = begin(&vault, Kind::Refresh, Some(1)).await;
    assert!(vault.kept_answer(&attempt).await.unwrap().is_none());
    vault.keep_answer(&attempt, b"the answer").await.unwrap();
    drop(vault);

    let vault = open(directory.path(), 1).await.unwrap();
    vault.sweep(now()).await.unwrap();
    let [left] = vault
        .left_open(&account())
        .await
        .unwrap()
        .try_into()
        .ok()
        .unwrap();
    assert_eq!(
        (left.id, left.generation, left.doubt_at),
        (attempt.id, 1, None)
    );
    assert_eq!(
        vault.kept_answer(&left).await.unwrap().unwrap().as_slice(),
        b"the answer"
    );
    let again = vault.again(&left, now()).await.unwrap();
    assert_eq!((again.tries, again.doubt_at), (2, Some(now())));

    let file = directory.path().join(format!("rescue/{}.rescue", left.id));
    vault.keep_answer(&left, b"the answer").await.unwrap();
    let mut torn = std::fs::read(&file).unwrap();
    torn[30] ^= 1;
    std::fs::write(&file, torn).unwrap();
    assert!(vault.kept_answer(&left).await.unwrap().is_none());
}

#[tokio::test]
async fn signing_out_erases_the_key_of_everything_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let vault = signed_in(directory.path()).await;
    let attempt = begin(&vault, Kind::Refresh, Some(1)).await;
    vault.erase(&account(), now()).await.unwrap();
    assert!(vault.load(&account()).await.unwrap().is_none());
    let keys: i64 = vault
        .store
        .read(|conn| {
            Ok::<_, store::Error>(
                conn.query_row("SELECT count(*) FROM data_keys", [], |row| row.get(0))?,
            )
        })
        .await
        .unwrap();
    assert_eq!(keys, 0);
    assert!(
        !directory
            .path()
            .join(format!("rescue/{}.rescue", attempt.id))
            .exists()
    );
    let standing = vault.standing(&account()).await.unwrap().unwrap();
    assert_eq!(standing.reason, Some(Reason::LoggedOut));
    // The next login goes on counting, so that no old token is taken for a new one.
    assert_eq!(begin(&vault, Kind::Code, None).await.generation, 1);
}

#[tokio::test]
async fn a_reserve_without_an_open_attempt_is_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let vault = signed_in(directory.path()).await;
    let committed = begin(&vault, Kind::Refresh, Some(1)).await;
    vault.keep_answer(&committed, b"the answer").await.unwrap();
    vault
        .commit(&committed, &tokens("a2", None), None, now())
        .await
        .unwrap();
    // A kill between the commit and this leaves the file of a closed attempt; one before the
    // attempt was committed leaves a file without any.
    let file = |attempt: i64| directory.path().join(format!("rescue/{attempt}.rescue"));
    std::fs::write(file(99), vec![0; 100]).unwrap();
    let open = begin(&vault, Kind::Refresh, Some(2)).await;
    assert!(file(committed.id).exists());
    vault.sweep(now()).await.unwrap();
    assert!(!file(committed.id).exists() && !file(99).exists());
    assert!(file(open.id).exists());
}
