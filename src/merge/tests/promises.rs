//! What the house promises, as far as this room can keep it.

use super::*;

/// Returns SQLite's word for "someone has written since", and the size of the write-ahead log.
async fn traces(room: &Room) -> (i64, u64) {
    let version = room
        .store
        .read(|conn| {
            Ok::<_, store::Error>(conn.pragma_query_value(None, "data_version", |r| r.get(0))?)
        })
        .await
        .unwrap();
    let log = room.store.path().with_extension("db-wal");
    (version, std::fs::metadata(log).unwrap().len())
}

#[tokio::test]
async fn promise_2_a_repeated_run_over_unchanged_data_changes_nothing() {
    let room = Room::new();
    let records: Vec<String> = (0..500)
        .map(|id| {
            format!(
                r#"{{"ID":"{id:08x}","Code":"  {id}","Hours":{id}.5,"Cost":{id}.50,"Open":true,
                "Modified":"/Date({id}000)/","Tags":[{id}, 2],"Note":null,"Big":12345678901234567890}}"#
            )
        })
        .collect();
    let page = format!("[{}]", records.join(","));
    let table = table("project", &["ID"]);
    let merged = room.merge(&table, &[&page]).await.unwrap();
    assert_eq!(counts(&merged), [500, 0, 0]);
    let before = (
        traces(&room).await,
        room.rows("SELECT * FROM project").await,
    );
    let merged = room.merge_at(&table, LATER, &[&page]).await.unwrap();
    assert_eq!(counts(&merged), [0, 0, 500]);
    assert_eq!(
        (
            traces(&room).await,
            room.rows("SELECT * FROM project").await
        ),
        before
    );
    let one = page.replacen("\"Open\":true", "\"Open\":false", 1);
    let merged = room.merge_at(&table, LATER, &[&one]).await.unwrap();
    assert_eq!(counts(&merged), [0, 1, 499]);
    let moved = room
        .rows("SELECT ID FROM project WHERE sync_at > '2026-03-01T06:10'")
        .await;
    assert_eq!(moved, ["00000000"]);
}

#[tokio::test]
async fn promise_1_a_page_that_cannot_be_merged_leaves_nothing_of_its_transaction() {
    let room = Room::new();
    let table = table("t", &["id"]);
    room.merge(&table, &[r#"[{"id":1,"v":1}]"#]).await.unwrap();
    let before = traces(&room).await;
    let pages = [r#"[{"id":1,"v":"wider"},{"id":2,"w":1}]"#, r#"[{"w":3}]"#];
    let error = room.merge_at(&table, LATER, &pages).await.unwrap_err();
    assert!(
        matches!(error, Error::KeyMissing { page: 2, .. }),
        "{error}"
    );
    assert_eq!(traces(&room).await, before);
    assert_eq!(room.kinds("t").await, ["id|integer", "v|integer"]);
}

#[tokio::test]
async fn of_two_records_with_one_key_the_last_stays_and_both_are_counted() {
    let room = Room::new();
    let pages = [
        r#"[{"id":1,"v":"a"},{"id":1,"v":"b"}]"#,
        r#"[{"id":1,"v":"c"},{"id":1,"v":"c"}]"#,
    ];
    let merged = room.merge(&table("t", &["id"]), &pages).await.unwrap();
    assert_eq!(counts(&merged), [1, 2, 1]);
    assert_eq!((merged.tally.pages, merged.tally.records), (2, 4));
    assert_eq!(room.rows("SELECT v FROM t").await, ["c"]);
}
