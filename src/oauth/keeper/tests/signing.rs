//! Signing in and out, on one account or several.

use super::*;

#[tokio::test]
async fn a_failed_login_leaves_the_credential_that_was_there() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    house.server.script([
        dead(),
        Reply::RotateAndHangUp,
        say(401, r#"{"error":"invalid_client"}"#),
    ]);
    let refused = sign_in(&keeper).await.unwrap_err();
    assert!(
        refused.to_string().contains("refused the code"),
        "{refused}"
    );
    assert!(
        sign_in(&keeper)
            .await
            .unwrap_err()
            .to_string()
            .contains("were lost on their way")
    );
    assert_eq!(
        sign_in(&keeper).await.unwrap_err().remedy(),
        Remedy::EditConfig
    );
    assert_eq!(house.rescue_files(), 0);
    assert_eq!(house.stored().await, (1, "CANARY-r1".to_owned()));

    let start = keeper.begin_login(&account()).await.unwrap();
    let stranger = keeper
        .finish_login(&start.id, "https://t/?code=c&state=s")
        .await;
    assert!(stranger.unwrap_err().to_string().contains("another login"));
    keeper
        .finish_login_with_code(&start.id, "a-code%21")
        .await
        .unwrap();
    let again = keeper
        .finish_login_with_code(&start.id, "a-code%21")
        .await
        .unwrap_err();
    assert!(again.to_string().contains("was finished"), "{again}");
    let start = keeper.begin_login(&account()).await.unwrap();
    house.advance(600);
    keeper
        .finish_login_with_code(&start.id, "a-code%21")
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_login_ends_a_doubt_and_is_not_overtaken_by_a_refresh() {
    let house = House::new().await;
    drop(house.signed_in().await);
    house.cut_short(Kind::Refresh).await;
    let keeper = house.open().await;
    house.server.lifetime(3600);
    house.server.script([Reply::Hold(Box::new(Reply::Rotate))]);
    let login = tokio::spawn({
        let keeper = keeper.clone();
        async move { sign_in(&keeper).await }
    });
    house.server.asked(2).await;
    house.advance(700);
    let caller = tokio::spawn({
        let keeper = keeper.clone();
        async move { token(&keeper).await }
    });
    tokio::task::yield_now().await;
    house.server.release();
    login.await.unwrap().unwrap();
    assert_eq!(caller.await.unwrap().unwrap(), "CANARY-a2");
    assert_eq!(house.server.most_under_way(), 1);
    assert_eq!(health(&keeper).state, State::Ok);
    assert_eq!(house.stored().await.0, 2);
}

#[tokio::test]
async fn signing_out_forgets_and_nobody_signed_in_is_said_so() {
    let house = House::new().await;
    let keeper = house.open().await;
    let never = token(&keeper).await.unwrap_err();
    assert_eq!(
        never.to_string(),
        "connection `exact` needs a login: nobody has signed in yet"
    );
    sign_in(&keeper).await.unwrap();
    keeper
        .logout(&account(), Revocation::AtServer)
        .await
        .unwrap();
    for keeper in [keeper, house.open().await] {
        let out = token(&keeper).await.unwrap_err();
        assert!(
            matches!(
                out,
                Error::NeedsLogin {
                    reason: Reason::LoggedOut,
                    ..
                }
            ),
            "{out}"
        );
    }
}

/// Signs in as `account`, and returns what that brought.
async fn sign_in_as(keeper: &Keeper, account: &Account) -> Result<LoginDone, Error> {
    let start = keeper.begin_login(account).await?;
    let redirected = redirected(&start);
    keeper.finish_login(&start.id, &redirected).await
}

fn named(account: &str) -> Account {
    Account::named(&name(), &Name::parse(account).unwrap())
}

/// Returns the accounts that are shown.
fn shown(keeper: &Keeper) -> Vec<String> {
    let healths = keeper.health().into_iter();
    healths
        .map(|health| {
            health
                .account
                .map_or("-".to_owned(), |name| name.to_string())
        })
        .collect()
}

#[tokio::test]
async fn accounts_come_with_their_first_login_and_go_when_they_sign_out() {
    let house = House::new().await;
    let keeper = house.open().await;
    let (berlin, paris) = (named("berlin"), named("paris"));
    assert_eq!(keeper.accounts(&name()), [account()]);
    let never = keeper.authorization(&berlin).await.unwrap_err();
    assert_eq!(
        never.to_string(),
        "connection `exact/berlin` needs a login: nobody has signed in yet"
    );
    assert_eq!(
        never.hint().unwrap(),
        "type `tidegate login exact --account berlin`"
    );
    keeper.begin_login(&berlin).await.unwrap();
    assert_eq!(shown(&keeper), ["-"], "a login that was only begun is none");

    sign_in_as(&keeper, &berlin).await.unwrap();
    sign_in_as(&keeper, &paris).await.unwrap();
    for keeper in [&keeper, &house.open().await] {
        assert_eq!(keeper.accounts(&name()), [berlin.clone(), paris.clone()]);
        assert_eq!(shown(keeper), ["berlin", "paris"]);
        let tokens = [&berlin, &paris].map(|account| keeper.authorization(account));
        let [first, second] = tokens;
        let first = first.await.unwrap().unwrap().token;
        let second = second.await.unwrap().unwrap().token;
        assert_eq!(first.expose_secret(), "CANARY-a1");
        assert_eq!(second.expose_secret(), "CANARY-a2");
    }

    keeper.logout(&berlin, Revocation::AtServer).await.unwrap();
    for keeper in [&keeper, &house.open().await] {
        assert_eq!(keeper.accounts(&name()), std::slice::from_ref(&paris));
        assert_eq!(shown(keeper), ["paris"]);
        assert!(keeper.authorization(&paris).await.is_ok());
    }
    let gone = keeper
        .logout(&berlin, Revocation::AtServer)
        .await
        .unwrap_err();
    assert_eq!(
        gone.to_string(),
        "connection `exact`: there is no account `berlin`; there are: `paris`"
    );
    sign_in(&keeper).await.unwrap();
    assert_eq!(shown(&keeper), ["-", "paris"]);
}

#[tokio::test]
async fn a_client_of_its_own_has_no_accounts() {
    let mut house = House::new().await;
    house.oauth.grant = Grant::ClientCredentials;
    let keeper = house.open().await;
    let refused = keeper.begin_login(&named("berlin")).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "nobody signs in to connection `exact/berlin`"
    );
    assert!(keeper.authorization(&named("berlin")).await.is_err());
    assert_eq!(shown(&keeper), ["-"]);
}
