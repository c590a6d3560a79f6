//! Tokens that come after somebody has signed in anew.

use super::*;
use crate::clock::Clock;

/// What the server answers to a request for revocation.
fn revoked() -> Reply {
    say(200, "")
}

fn busy() -> Reply {
    say(503, "")
}

impl House {
    /// A house whose server revokes tokens, or says where it does not.
    async fn revoking() -> Self {
        let mut house = Self::new().await;
        house.oauth.endpoints.revocation = Some(house.server.url.parse().unwrap());
        house
    }

    /// Signs in, lets a refresh hang that holds new tokens in the end, and signs in again meanwhile.
    async fn overtaken(&self, then: impl IntoIterator<Item = Reply>) -> Keeper {
        let keeper = self.signed_in().await;
        self.advance(700);
        let late = r#"{"access_token":"CANARY-late-a","refresh_token":"CANARY-late-r",
            "token_type":"bearer","expires_in":600}"#;
        self.server
            .script([Reply::Hold(Box::new(say(200, late))), Reply::Rotate]);
        self.server.script(then);
        let caller = tokio::spawn({
            let keeper = keeper.clone();
            async move { token(&keeper).await }
        });
        self.server.asked(2).await;
        // The refresh hangs, and whoever signs in does not wait for it.
        sign_in(&keeper).await.unwrap();
        assert_eq!(caller.await.unwrap().unwrap(), "CANARY-a2");
        assert_eq!(self.stored().await, (2, "CANARY-r2".to_owned()));
        self.server.release();
        keeper
    }

    async fn orphans(&self) -> usize {
        self.vault().await.orphans(None).await.unwrap().len()
    }

    /// Waits until no orphan is left.
    async fn emptied(&self) {
        while self.orphans().await > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Returns the tokens that the server was asked to revoke, in order.
    fn given_up(&self) -> Vec<String> {
        let requests = self.server.requests();
        let tokens = requests.iter().filter_map(|body| {
            let (_, token) = body.split_once("token=CANARY-late-")?;
            Some(token.split('&').next().unwrap().to_owned())
        });
        tokens.collect()
    }

    async fn data_keys(&self) -> i64 {
        let count = "SELECT count(*) FROM data_keys";
        self.store()
            .read(|conn| Ok::<_, store::Error>(conn.query_row(count, [], |row| row.get(0))?))
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn tokens_that_come_after_a_login_are_revoked_and_the_login_stays() {
    let house = House::revoking().await;
    let keeper = house.overtaken([revoked(), revoked()]).await;
    house.server.asked(5).await;
    house.emptied().await;
    assert_eq!(house.given_up(), ["r", "a"]);
    assert_eq!(house.stored().await, (2, "CANARY-r2".to_owned()));
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
    assert_eq!(health(&keeper).state, State::Ok);
    assert_eq!((house.data_keys().await, house.rescue_files()), (1, 0));
}

#[tokio::test]
async fn a_restart_goes_on_revoking_what_came_too_late() {
    let house = House::revoking().await;
    let keeper = house.overtaken([busy(), busy(), busy(), busy()]).await;
    house.server.asked(7).await;
    keeper.drain().await;
    assert_eq!(house.orphans().await, 1);
    // What waits to be revoked is as safe as what is in use, and opens after the keys change.
    let vault = house.vault().await;
    let verified = vault.verify().await.unwrap();
    assert_eq!((verified.orphans, verified.unreadable.len()), (1, 0));
    vault.reseal(&account(), house.clock.now()).await.unwrap();
    assert_eq!(vault.verify().await.unwrap().orphans, 1);

    house.server.script([revoked(), revoked()]);
    let keeper = house.open().await;
    house.emptied().await;
    assert_eq!(house.given_up(), ["r", "r", "r", "r", "r", "a"]);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
    assert_eq!(house.data_keys().await, 1);
}

#[tokio::test]
async fn an_answer_that_a_kill_left_on_disk_is_revoked_if_somebody_signed_in_since() {
    let house = House::revoking().await;
    drop(house.signed_in().await);
    let (vault, refresh) = house.cut_short(Kind::Refresh).await;
    let late = br#"{"access_token":"CANARY-late-a","refresh_token":"CANARY-late-r"}"#;
    vault.keep_answer(&refresh, late).await.unwrap();
    let (_, login) = house.cut_short(Kind::Code).await;
    let newer = br#"{"access_token":"CANARY-a9","refresh_token":"CANARY-r9"}"#;
    let oauth = &house.oauth;
    let tokens = super::super::start::kept_tokens(oauth, newer, house.clock.now()).unwrap();
    let under_way = Some(refresh.id);
    vault
        .commit(&login, &tokens, under_way, house.clock.now())
        .await
        .unwrap();

    house.server.script([revoked(), revoked()]);
    let keeper = house.open().await;
    house.emptied().await;
    assert_eq!(house.given_up(), ["r", "a"]);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a9");
}

#[tokio::test]
async fn what_no_server_revokes_is_erased_after_a_month() {
    let house = House::new().await;
    let keeper = house.overtaken([]).await;
    while house.orphans().await == 0 {
        tokio::task::yield_now().await;
    }
    keeper.drain().await;
    house.advance(29 * 24 * 3600);
    house.open().await.drain().await;
    assert_eq!(house.orphans().await, 1);
    house.advance(2 * 24 * 3600);
    house.open().await;
    house.emptied().await;
    assert!(house.given_up().is_empty());
}

#[tokio::test]
async fn whoever_signs_out_takes_along_what_came_too_late() {
    let house = House::revoking().await;
    let keeper = house.overtaken([busy(), busy(), busy(), busy()]).await;
    house.server.asked(7).await;
    house
        .server
        .script([revoked(), revoked(), revoked(), revoked()]);
    let done = keeper.logout(&account(), Revocation::AtServer).await;
    assert!(done.unwrap().remaining.is_empty());
    assert_eq!(house.orphans().await, 0);
    assert_eq!(house.data_keys().await, 0);
    assert_eq!(house.given_up()[4..], ["r", "a"]);
}
