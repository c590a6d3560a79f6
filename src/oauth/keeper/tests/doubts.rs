//! Answers that were lost, and kills between asking and storing.

use super::*;

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_as_tries_of_one_attempt_until_the_server_refuses() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    house
        .server
        .script([Reply::RotateAndHangUp, Reply::HangUp, say(503, "busy")]);
    house.advance(700);
    let refused = token(&keeper).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "connection `exact` needs a login: the answer that brought its next refresh token was lost, \
         and the old one was refused (HTTP 400, `invalid_grant`: the token [removed]2 is not for you)"
    );
    assert_eq!(refused.remedy(), Remedy::Login);
    assert_eq!(refused.hint().unwrap(), "type `tidegate login exact`");
    assert_eq!(health(&keeper).reason, Some(Reason::RotationAnswerLost));
    assert_eq!(house.server.requests().len(), 5);
    assert_eq!(
        house.last_attempt().await,
        (4, true, Some("refused".into()))
    );

    // Nothing is sent until somebody signs in, not even by another process.
    house.advance(100_000);
    token(&keeper).await.unwrap_err();
    drop(keeper);
    let keeper = house.open().await;
    token(&keeper).await.unwrap_err();
    assert_eq!(keeper.tend(|_| None), None);
    assert_eq!(house.server.requests().len(), 5);
    sign_in(&keeper).await.unwrap();
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a3");
    assert_eq!(health(&keeper).state, State::Ok);
}

#[tokio::test]
async fn a_request_that_was_lost_on_its_way_costs_nobody_a_login() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    house
        .server
        .script([Reply::HangUp, say(200, ""), say(500, "<html>")]);
    house.advance(700);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
    assert_eq!(
        house.last_attempt().await,
        (4, true, Some("committed".into()))
    );
    assert_eq!(health(&keeper).state, State::Ok);
    // The unusable success is kept for a person to look into; the reserve is given back.
    assert_eq!(house.rescue_files(), 1);
}

#[tokio::test]
async fn where_reuse_kills_the_chain_the_access_token_is_used_to_its_end_first() {
    let house = House::exact().await;
    let keeper = house.signed_in().await;
    house.server.script([Reply::RotateAndHangUp]);
    house.advance(590);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    assert_eq!(health(&keeper).state, State::InDoubt);
    assert_eq!(house.server.requests().len(), 2);
    house.advance(10);
    token(&keeper).await.unwrap_err();
    assert_eq!(house.server.requests().len(), 3);
    assert_eq!(health(&keeper).reason, Some(Reason::RotationAnswerLost));
    assert_eq!(
        house.last_attempt().await,
        (2, true, Some("refused".into()))
    );
}

#[tokio::test]
async fn once_the_access_token_has_ended_one_prompt_try_tells() {
    let house = House::exact().await;
    let keeper = house.signed_in().await;
    house.advance(700);
    house.server.script([Reply::HangUp]);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
    house.advance(700);
    house.server.script([Reply::RotateAndHangUp]);
    let lost = token(&keeper).await.unwrap_err();
    assert!(
        matches!(
            lost,
            Error::NeedsLogin {
                reason: Reason::RotationAnswerLost,
                ..
            }
        ),
        "{lost}"
    );
    assert_eq!(
        house.last_attempt().await,
        (2, true, Some("refused".into()))
    );
}

#[tokio::test]
async fn a_start_that_finds_an_answer_stores_it_and_one_that_finds_none_is_in_doubt() {
    let house = House::new().await;
    drop(house.signed_in().await);
    let (vault, attempt) = house.cut_short(Kind::Refresh).await;
    let body = br#"{"access_token":"b","refresh_token":"s","token_type":"bearer","expires_in":60}"#;
    vault.keep_answer(&attempt, body).await.unwrap();
    drop(vault);
    let keeper = house.open().await;
    assert_eq!(house.stored().await, (2, "s".to_owned()));
    assert_eq!(token(&keeper).await.unwrap(), "b");
    assert_eq!(house.rescue_files(), 0);
    assert_eq!(house.server.requests().len(), 1);
}

#[tokio::test]
async fn a_kill_between_sending_and_the_answer_is_a_doubt_that_is_recorded_before_the_next_try() {
    let house = House::new().await;
    drop(house.signed_in().await);
    house.cut_short(Kind::Refresh).await;
    let keeper = house.open().await;
    assert_eq!(health(&keeper).state, State::InDoubt);
    assert_eq!(house.last_attempt().await, (1, true, None));
    house.server.script([Reply::Hold(Box::new(Reply::Rotate))]);
    // A doubt is ended as soon as it may be, without anybody asking.
    house.advance(30);
    keeper.tend(|_| None).unwrap();
    house.server.asked(2).await;
    assert_eq!(house.last_attempt().await, (2, true, None));
    house.server.release();
    keeper.drain().await;
    assert_eq!(house.stored().await, (2, "CANARY-r2".to_owned()));
    assert_eq!(
        house.last_attempt().await,
        (2, true, Some("committed".into()))
    );
}

#[tokio::test]
async fn a_kill_after_the_server_rotated_needs_a_login_and_says_why() {
    let house = House::exact().await;
    let keeper = house.signed_in().await;
    house.server.script([Reply::RotateAndHangUp]);
    house.advance(590);
    token(&keeper).await.unwrap();
    drop(keeper);
    let keeper = house.open().await;
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    house.advance(20);
    let refused = token(&keeper).await.unwrap_err();
    assert!(matches!(
        refused,
        Error::NeedsLogin {
            reason: Reason::RotationAnswerLost,
            ..
        }
    ));
}
