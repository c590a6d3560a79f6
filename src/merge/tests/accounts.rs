//! Tables that several accounts share.

use super::*;
use crate::remedy::Remedy;

fn shared() -> Table {
    Table {
        by_account: true,
        ..table("mail", &["id"])
    }
}

#[tokio::test]
async fn the_same_key_of_two_accounts_is_two_rows_that_say_whose_they_are() {
    let room = Room::new();
    let mail = [r#"[{"id":1,"subject":"a"},{"id":2,"subject":"b"}]"#];
    let first = room.merge_of(&shared(), "berlin", &mail).await.unwrap();
    let second = room.merge_of(&shared(), "paris", &mail).await.unwrap();
    let again = room.merge_of(&shared(), "berlin", &mail).await.unwrap();
    assert_eq!(counts(&first), [2, 0, 0]);
    assert_eq!(counts(&second), [2, 0, 0]);
    assert_eq!(counts(&again), [0, 0, 2]);

    let changed = [r#"[{"id":1,"subject":"c"}]"#];
    let changed = room.merge_of(&shared(), "paris", &changed).await.unwrap();
    assert_eq!(counts(&changed), [0, 1, 0]);
    let rows = room
        .rows("SELECT sync_account, id, subject FROM mail ORDER BY 1, 2")
        .await;
    assert_eq!(rows, ["berlin|1|a", "berlin|2|b", "paris|1|c", "paris|2|b"]);
}

#[tokio::test]
async fn a_widened_column_leaves_every_row_with_its_account() {
    let room = Room::new();
    for (account, id) in [
        ("berlin", "1"),
        ("paris", "1"),
        ("paris", "12345678901234567890"),
    ] {
        let page = format!(r#"[{{"id":{id},"size":1}}]"#);
        room.merge_of(&shared(), account, &[&page]).await.unwrap();
    }
    let rows = room
        .rows("SELECT sync_account, id FROM mail ORDER BY 1, 2")
        .await;
    assert_eq!(rows, ["berlin|1", "paris|1", "paris|12345678901234567890"]);
    let again = room
        .merge_of(
            &shared(),
            "paris",
            &[r#"[{"id":12345678901234567890,"size":1}]"#],
        )
        .await;
    assert_eq!(counts(&again.unwrap()), [0, 0, 1]);
}

#[tokio::test]
async fn a_table_made_for_one_account_is_not_silently_shared() {
    let room = Room::new();
    let page = [r#"[{"id":1}]"#];
    let plain = table("mail", &["id"]);
    room.merge(&plain, &page).await.unwrap();
    let error = room.merge_of(&shared(), "berlin", &page).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::EditConfig);
    let words = error.to_string();
    assert!(
        words.contains("`id`") && words.contains("`sync_account`"),
        "{words}"
    );
    assert!(error.hint().unwrap().contains("another `table`"));
}
