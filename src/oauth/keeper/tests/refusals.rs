//! Servers that refuse, or are not there.

use super::*;

#[tokio::test]
async fn a_refusal_without_a_doubt_is_confirmed_once_where_that_is_harmless() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    house.server.script([dead(), dead()]);
    house.advance(700);
    let waiting = token(&keeper).await.unwrap_err();
    assert!(matches!(
        waiting,
        Error::Waiting {
            reason: Some(Reason::RefusedOnce),
            ..
        }
    ));
    assert_eq!(waiting.remedy(), Remedy::Wait);
    house.advance(60);
    let refused = token(&keeper).await.unwrap_err();
    assert!(matches!(
        refused,
        Error::NeedsLogin {
            reason: Reason::NeverWorked,
            ..
        }
    ));
    assert_eq!(house.server.requests().len(), 3);

    let house = House::exact().await;
    let keeper = house.signed_in().await;
    house.server.script([dead()]);
    house.advance(700);
    let refused = token(&keeper).await.unwrap_err();
    assert!(matches!(
        refused,
        Error::NeedsLogin {
            reason: Reason::NeverWorked,
            ..
        }
    ));
}

#[tokio::test]
async fn an_unreachable_server_is_no_doubt_and_the_access_token_serves_to_its_end() {
    let mut house = House::new().await;
    let keeper = house.signed_in().await;
    keeper.drain().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("http://{}/", listener.local_addr().unwrap());
    house.oauth.endpoints.token = Some(away.parse().unwrap());
    drop(listener);
    let keeper = house.open().await;
    house.advance(560);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    assert_eq!(
        house.last_attempt().await,
        (1, false, Some("not_sent".into()))
    );
    house.advance(40);
    let waiting = token(&keeper).await.unwrap_err();
    assert!(matches!(
        waiting,
        Error::Waiting {
            reason: Some(Reason::Unreachable),
            ..
        }
    ));
    assert!(
        waiting.to_string().contains("could not be reached"),
        "{waiting}"
    );
}

#[tokio::test]
async fn a_refused_access_token_brings_one_refresh_and_a_brand_new_one_none() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    let refused = keeper.rejected(&account(), 1).await.unwrap_err();
    assert!(matches!(refused, Error::AccessRefused { .. }));
    house.advance(120);
    let newer = keeper.rejected(&account(), 1).await.unwrap();
    assert_eq!(newer.generation, 2);
    assert_eq!(keeper.rejected(&account(), 1).await.unwrap().generation, 2);
    assert_eq!(house.server.requests().len(), 2);

    let house = House::exact().await;
    let keeper = house.signed_in().await;
    house.advance(120);
    let early = keeper.rejected(&account(), 1).await.unwrap_err();
    let next_at = early.next_at().unwrap();
    assert_eq!(next_at.to_string(), "2025-03-02T06:09:30Z");
    assert_eq!(house.server.requests().len(), 1);
}

#[tokio::test]
async fn a_rejected_client_waits_for_another_configuration() {
    let mut house = House::new().await;
    let keeper = house.signed_in().await;
    house
        .server
        .script([say(401, r#"{"error":"invalid_client"}"#)]);
    house.advance(700);
    let rejected = token(&keeper).await.unwrap_err();
    assert_eq!(rejected.remedy(), Remedy::EditConfig);
    drop(keeper);
    assert_eq!(
        token(&house.open().await).await.unwrap_err().remedy(),
        Remedy::EditConfig
    );
    assert_eq!(house.server.requests().len(), 2);
    house.oauth.client_id = "another".into();
    assert_eq!(token(&house.open().await).await.unwrap(), "CANARY-a2");
}
