//! What a provider limits: how often it is asked, and how long a login lasts.

use super::*;
use crate::config::Budget;

const DAY: u64 = 86_400;

#[tokio::test]
async fn a_used_up_quota_holds_refreshes_back_over_restarts_but_no_login() {
    let mut house = House::new().await;
    house.oauth.refresh_limits = vec![Budget {
        calls: 3,
        per: Duration::from_secs(3600),
    }];
    // A login and a refresh: the third is kept for a person.
    let keeper = house.signed_in().await;
    house.advance(700);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
    house.advance(700);
    for keeper in [&keeper, &house.open().await] {
        let waits = token(keeper).await.unwrap_err();
        let until = Timestamp::from_second(health(keeper).since.as_second() + 3600).unwrap();
        assert_eq!(waits.next_at(), Some(until), "{waits}");
    }
    assert_eq!(house.server.requests().len(), 2);
    sign_in(&keeper).await.unwrap();
    house.advance(3600);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a4");
}

#[tokio::test]
async fn where_a_spent_token_alarms_people_the_access_token_is_used_up_and_then_somebody_signs_in()
{
    let mut house = House::new().await;
    house.oauth.retry_in_doubt = RetryInDoubt::Never;
    let keeper = house.signed_in().await;
    house.server.script([Reply::RotateAndHangUp]);
    house.advance(545);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    for keeper in [&keeper, &house.open().await] {
        assert_eq!(token(keeper).await.unwrap(), "CANARY-a1");
        assert_eq!(health(keeper).state, State::InDoubt);
    }
    house.advance(60);
    for keeper in [&keeper, &house.open().await] {
        let ended = token(keeper).await.unwrap_err();
        assert_eq!(ended.remedy(), Remedy::Login, "{ended}");
        assert_eq!(health(keeper).state, State::NeedsLogin);
    }
    assert_eq!(house.server.requests().len(), 2);
    sign_in(&keeper).await.unwrap();
    assert_eq!(health(&keeper).state, State::Ok);
}

#[tokio::test]
async fn a_login_that_ends_is_told_ahead_counted_from_the_sign_in() {
    let mut house = House::new().await;
    house.oauth.refresh_token_absolute = Some(Duration::from_secs(100 * DAY));
    let keeper = house.signed_in().await;
    for (day, told) in [(80, None), (87, Some("13 days")), (98, Some("2 days"))] {
        let now = House::clock_at(day);
        house.clock.set(now);
        token(&keeper).await.unwrap();
        let health = health(&keeper);
        let note = health.notices.join("; ");
        assert_eq!(
            told.is_some(),
            note.contains("tidegate login exact"),
            "{note}"
        );
        assert!(note.contains(told.unwrap_or_default()), "{note}");
        assert_eq!(health.is_alarming, day == 98, "{note}");
    }
}

#[tokio::test]
async fn the_log_is_told_once_for_each_threshold_that_a_login_ends() {
    let mut house = House::new().await;
    house.oauth.refresh_token_absolute = Some(Duration::from_secs(100 * DAY));
    let (log, _logging) = Log::begin();
    let keeper = house.signed_in().await;
    let told = || log.text().matches("its login ends in").count();
    for (day, times) in [(80, 0), (87, 1), (90, 1), (98, 2), (100, 3)] {
        house.clock.set(House::clock_at(day));
        keeper.tend(|_| None);
        keeper.tend(|_| None);
        assert_eq!(told(), times, "day {day}");
    }
    sign_in(&keeper).await.unwrap();
    house.clock.set(House::clock_at(190));
    keeper.tend(|_| None);
    assert_eq!(told(), 4, "another login ends too");
}

#[tokio::test]
async fn an_access_token_that_ended_for_good_is_not_called_well() {
    let house = House::new().await;
    house.server.script([say(
        200,
        r#"{"access_token":"a","token_type":"bearer","expires_in":60}"#,
    )]);
    let keeper = house.signed_in().await;
    assert_eq!(health(&keeper).state, State::Ok);
    house.advance(60);
    let ended = health(&keeper);
    assert_eq!(
        (ended.state, ended.reason),
        (State::NeedsLogin, Some(Reason::NoRefreshToken))
    );
}
