//! What must never be seen.

use super::*;

#[tokio::test]
async fn promise_no_secret_reaches_a_log_an_error_or_a_file() {
    let (log, _logging) = Log::begin();
    let house = House::new().await;
    // As long as real tokens are, so that they are known for tokens wherever they are quoted.
    house.server.padding(40);
    let keeper = house.signed_in().await;
    house.server.script([Reply::RotateAndHangUp]);
    house.advance(700);
    let mut shown = vec![format!("{:?}", token(&keeper).await.unwrap_err())];
    shown.push(token(&keeper).await.unwrap_err().to_string());
    shown.push(format!("{:?}", keeper.health()));
    sign_in(&keeper).await.unwrap();
    shown.push(format!(
        "{:?}",
        keeper.authorization(&account()).await.unwrap()
    ));
    house.cut_short(Kind::Refresh).await;
    shown.push(log.text());
    assert!(shown.last().unwrap().contains("got a new access token"));

    let mut files = vec![house.directory.path().to_owned()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else {
            shown.push(String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned());
        }
    }
    for text in shown {
        let at = text.find("CANARY");
        assert!(at.is_none(), "{}", &text[at.unwrap()..]);
    }
}
