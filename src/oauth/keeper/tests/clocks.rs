//! Clocks that differ.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::config::{ClientAuth, ClientKey, SecretSource};
use crate::secret::Secret;

const KEY: &str = include_str!("../../../../tests/keys/p256.pem");

/// Returns the claims of the assertion in a request.
fn claims(body: &str) -> serde_json::Value {
    let (_, assertion) = body.split_once("client_assertion=").unwrap();
    let claims = assertion.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[tokio::test]
async fn a_clock_that_differs_from_the_servers_is_told_and_assertions_go_by_the_servers() {
    let mut house = House::new().await;
    house.oauth.client_auth = ClientAuth::PrivateKeyJwt;
    house.oauth.client_key = Some(ClientKey {
        private_key: SecretSource::Literal(Secret::from(KEY)),
        certificate: None,
        is_shown_to_api: false,
        id: None,
        algorithm: None,
        audience: None,
        lifetime: Duration::from_secs(60),
    });
    // It is ten to six there.
    house.server.date("Sun, 02 Mar 2025 05:50:00 GMT");
    let keeper = house.signed_in().await;
    let [notice] = &health(&keeper).notices[..] else {
        panic!("{:?}", health(&keeper).notices);
    };
    assert_eq!(
        notice,
        "this machine's clock is 600 s ahead of the server's: set the one right that is wrong"
    );
    house.advance(700);
    house.server.date("Sun, 02 Mar 2025 06:11:40 GMT");
    token(&keeper).await.unwrap();
    let issued = |request: usize| claims(&house.server.requests()[request])["iat"].clone();
    let second = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
    assert_eq!(
        issued(0),
        second("2025-03-02T06:00:00Z"),
        "nothing was known yet"
    );
    assert_eq!(issued(1), second("2025-03-02T06:01:40Z"));
    assert_eq!(health(&keeper).notices, [""; 0], "they agree again");
}
