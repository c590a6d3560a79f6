//! A vault, a disk or a secret that is not as it should be.

use super::*;

#[tokio::test]
async fn tokens_that_do_not_fit_on_a_full_disk_are_kept_and_stored_when_there_is_room() {
    let house = House::new().await;
    let store = house.store();
    let keeper = house.open_with(store.clone()).await.unwrap();
    sign_in(&keeper).await.unwrap();
    let limit = |pages: i64| {
        store.write(move |tx| {
            let full: i64 = tx.pragma_query_value(None, "page_count", |row| row.get(0))?;
            let most = if pages == 0 { full } else { pages };
            tx.query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(()))?;
            Ok::<_, store::Error>(())
        })
    };
    limit(0).await.unwrap();
    house.server.script([say(
        200,
        &format!(
            r#"{{"access_token":"{0}","refresh_token":"{0}","token_type":"bearer","expires_in":99999999}}"#,
            "n".repeat(12_000)
        ),
    )]);
    house.advance(560);
    let caller = tokio::spawn({
        let keeper = keeper.clone();
        async move { token(&keeper).await }
    });
    // The old one lives on; the new one is nobody's until it is stored.
    let slow = caller.await.unwrap().unwrap_err();
    assert!(matches!(slow, Error::Slow { .. }), "{slow}");
    assert!(slow.to_string().contains("disk is full"), "{slow}");
    assert_eq!(health(&keeper).reason, Some(Reason::VaultUnwritable));
    assert_eq!(house.stored().await, (1, "CANARY-r1".to_owned()));

    // Another process would find it, and so does this one once there is room.
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("rescue")).unwrap();
    for file in ["vault.db", "vault.db-wal", "rescue/2.rescue"] {
        std::fs::copy(house.directory.path().join(file), copy.path().join(file)).unwrap();
    }
    limit(1_000_000).await.unwrap();
    assert_eq!(token(&keeper).await.unwrap(), "n".repeat(12_000));
    assert_eq!(house.stored().await, (2, "n".repeat(12_000)));
    assert_eq!(house.rescue_files(), 0);

    let house = House {
        directory: copy,
        ..house
    };
    let keeper = house.open().await;
    assert_eq!(house.stored().await, (2, "n".repeat(12_000)));
    assert_eq!(health(&keeper).state, State::Ok);
    assert_eq!(house.rescue_files(), 0);
    assert_eq!(house.server.requests().len(), 2);
}

#[tokio::test]
async fn a_credential_that_cannot_be_opened_is_said_so_and_a_login_replaces_it() {
    let house = House::new().await;
    drop(house.signed_in().await);
    house
        .store()
        .write(|tx| {
            tx.execute("UPDATE credentials SET access_token = refresh_token", [])?;
            Ok::<_, store::Error>(())
        })
        .await
        .unwrap();
    let keeper = house.open().await;
    let unreadable = token(&keeper).await.unwrap_err();
    assert!(
        matches!(unreadable, Error::NeedsAttention { .. }),
        "{unreadable}"
    );
    assert!(
        unreadable.to_string().contains("cannot be opened"),
        "{unreadable}"
    );
    let written = || async { house.vault().await.standing(&account()).await.unwrap() };
    assert_eq!(written().await.unwrap().reason, Some(Reason::Unreadable));
    sign_in(&keeper).await.unwrap();
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
    assert_eq!(written().await.unwrap().state, State::Ok);
}

#[tokio::test]
async fn whoever_lags_behind_the_vault_catches_up_instead_of_spending_an_old_token() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    // As after a panic between the commit and what follows it.
    let (vault, attempt) = house.cut_short(Kind::Refresh).await;
    let body =
        br#"{"access_token":"b","refresh_token":"s","token_type":"bearer","expires_in":9999}"#;
    vault.keep_answer(&attempt, body).await.unwrap();
    drop((vault, house.open().await));
    house.advance(700);
    assert_eq!(token(&keeper).await.unwrap(), "b");
    assert_eq!(house.server.requests().len(), 1);
}

#[tokio::test]
async fn a_missing_client_secret_is_told_and_needs_no_restart_once_it_is_there() {
    let mut house = House::new().await;
    drop(house.signed_in().await);
    let file = house.directory.path().join("secret");
    house.oauth.client_secret = Some(crate::config::SecretSource::File(file.clone()));
    let keeper = house.open().await;
    house.advance(560);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    house.advance(100);
    keeper.tend(|_| None);
    keeper.any_landed().await;
    for _ in 0..2 {
        let missing = token(&keeper).await.unwrap_err();
        assert!(matches!(missing, Error::Secret { .. }), "{missing}");
        assert_eq!(missing.remedy(), Remedy::EditConfig);
    }
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let created = options
        .write(true)
        .create(true)
        .mode(0o600)
        .open(&file)
        .unwrap();
    std::io::Write::write_all(&mut &created, b"CANARY-secret\n").unwrap();
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
    assert!(house.server.requests()[1].contains("client_secret=CANARY-secret"));
}
