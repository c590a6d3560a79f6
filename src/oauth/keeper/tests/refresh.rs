//! Refreshes that go well, or wait.

use super::*;

#[tokio::test]
async fn promise_new_tokens_are_on_disk_before_anybody_uses_them() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    house.advance(560);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
    assert_eq!(house.stored().await, (2, "CANARY-r2".to_owned()));
    assert_eq!(
        house.last_attempt().await,
        (1, false, Some("committed".into()))
    );
    assert_eq!(house.rescue_files(), 0);
    drop(keeper);
    assert_eq!(token(&house.open().await).await.unwrap(), "CANARY-a2");
}

#[tokio::test]
async fn promise_an_answer_without_a_refresh_token_keeps_the_old_one() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    house.server.script([say(
        200,
        r#"{"access_token":"b","token_type":"Bearer","expires_in":600,"refresh_token":null}"#,
    )]);
    house.advance(560);
    assert_eq!(token(&keeper).await.unwrap(), "b");
    assert_eq!(house.stored().await, (2, "CANARY-r1".to_owned()));
    house.advance(560);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
}

#[tokio::test]
async fn promise_fifty_callers_make_one_request() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    house.advance(700);
    house.server.script([Reply::Hold(Box::new(Reply::Rotate))]);
    let callers: Vec<_> = (0..50)
        .map(|number| {
            let keeper = keeper.clone();
            tokio::spawn(async move {
                match number % 2 {
                    0 => token(&keeper).await,
                    _ => {
                        let token = keeper.rejected(&account(), 1).await?;
                        Ok(token.token.expose_secret().to_owned())
                    }
                }
            })
        })
        .collect();
    house.server.asked(2).await;
    assert_eq!(health(&keeper).state, State::Refreshing);
    // A caller that gives up ends nothing.
    callers[0].abort();
    house.server.release();
    for caller in callers.into_iter().skip(1) {
        assert_eq!(caller.await.unwrap().unwrap(), "CANARY-a2");
    }
    assert_eq!(house.server.requests().len(), 2);
    assert_eq!(house.server.most_under_way(), 1);
}

#[tokio::test]
async fn promise_too_early_changes_nothing() {
    let house = House::exact().await;
    let keeper = house.signed_in().await;
    house.server.script([say(
        400,
        r#"{"error":"access_denied","error_description":"Rate limit exceeded: access_token not expired"}"#,
    )]);
    house.advance(585);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    assert_eq!(health(&keeper).state, State::Ok);
    assert_eq!(house.server.requests().len(), 2);
    assert_eq!(house.last_attempt().await.2.as_deref(), Some("too_early"));
    assert_eq!(house.rescue_files(), 0);
    house.advance(15);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
}

#[tokio::test]
async fn a_client_of_its_own_is_asked_again_without_doubts() {
    let mut house = House::new().await;
    house.oauth.grant = Grant::ClientCredentials;
    house.server.script([Reply::HangUp]);
    let keeper = house.open().await;
    let lost = token(&keeper).await.unwrap_err();
    assert!(
        matches!(
            lost,
            Error::Waiting {
                reason: Some(Reason::ServerTrouble),
                ..
            }
        ),
        "{lost}"
    );
    assert_eq!(health(&keeper).state, State::BackingOff);
    house.advance(80);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    drop(keeper);
    let keeper = house.open().await;
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    house.advance(700);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
    assert_eq!(house.rescue_files(), 0);
}

#[tokio::test]
async fn what_is_due_is_refreshed_without_anybody_asking() {
    let house = House::exact().await;
    let keeper = house.signed_in().await;
    let now = || crate::clock::Clock::now(&house.clock);
    let soon = crate::clock::after(now(), Duration::from_secs(610));
    let at = |seconds| crate::clock::after(now(), Duration::from_secs(seconds));
    assert_eq!(keeper.tend(|_| Some(soon)), Some(at(585)));
    // Nobody needs it: it is only kept alive.
    assert_eq!(keeper.tend(|_| None), Some(at(24 * 60 * 60 * 7)));
    house.advance(585);
    // The login has landed too.
    keeper.any_landed().await;
    keeper.tend(|_| Some(soon));
    keeper.any_landed().await;
    assert_eq!(health(&keeper).generation, 2);
}

#[tokio::test]
async fn stopping_waits_for_the_exchange_under_way_and_begins_none() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    house.advance(700);
    house.server.script([Reply::Hold(Box::new(Reply::Rotate))]);
    keeper.tend(|_| None);
    house.server.asked(2).await;
    let draining = tokio::spawn({
        let keeper = keeper.clone();
        async move { keeper.drain().await }
    });
    tokio::task::yield_now().await;
    assert!(!draining.is_finished());
    house.server.release();
    draining.await.unwrap();
    assert_eq!(house.stored().await, (2, "CANARY-r2".to_owned()));
    house.advance(700);
    assert!(matches!(
        token(&keeper).await.unwrap_err(),
        Error::Stopping { .. }
    ));
    assert_eq!(house.server.requests().len(), 2);
}
