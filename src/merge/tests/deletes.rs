//! Rows that are gone at the source, as the source says itself.

use super::*;
use crate::config::{DeleteMode, Told, Tombstones};
use crate::record::Tally;

/// A table whose rows may be gone.
fn losing(mode: DeleteMode) -> Table {
    Table {
        deletes: Deletes {
            mode,
            ..Deletes::default()
        },
        may_lose_rows: true,
        ..table("t", &["id"])
    }
}

fn marked(field: &str, equals: Option<serde_json::Value>) -> Tombstones {
    Tombstones {
        told: Told::Field {
            field: field.parse().unwrap(),
            equals,
        },
        newer_by: None,
    }
}

fn listed_as(key: &str) -> Tombstones {
    let told = Told::List {
        path: "gone".parse().unwrap(),
        key: vec![("id".parse().unwrap(), key.parse().unwrap())],
    };
    Tombstones {
        told,
        newer_by: None,
    }
}

/// Merges one page: its records, and what it lists as gone.
async fn merge(
    room: &Room,
    table: &Table,
    tombstones: &Tombstones,
    [records, gone]: [&str; 2],
) -> Result<Tally, Error> {
    let (table, tombstones) = (table.clone(), tombstones.clone());
    let mut page = page(1, records);
    let listed = super::page(1, gone);
    page.gone = Gone {
        body: listed.body,
        entries: listed.records,
    };
    let merged = room.store.write(move |tx| {
        let batch = Batch {
            pages: &[page],
            account: None,
            given: &[],
            watch: None,
            tombstones: Some(&tombstones),
            at: LATER.parse().unwrap(),
        };
        upsert(tx, &table, &batch, None)
    });
    merged.await.map(|merged: Merged| merged.tally)
}

/// Inserted, updated, unchanged, deleted, restored.
fn all(tally: &Tally) -> [u64; 5] {
    let Tally {
        inserted,
        updated,
        unchanged,
        deleted,
        restored,
        ..
    } = *tally;
    let counts = [inserted, updated, unchanged, deleted, restored];
    assert_eq!(tally.records, counts.iter().sum::<u64>());
    counts
}

const MARKS: &str = "SELECT id, v, sync_at > '2026-03-01T06:10', sync_deleted_at, sync_deleted_reason FROM t ORDER BY id";

#[tokio::test]
async fn a_row_the_source_calls_gone_is_marked_and_keeps_its_values() {
    let room = Room::new();
    let table = losing(DeleteMode::Soft);
    room.merge(&table, &[r#"[{"id":1,"v":"a"},{"id":2,"v":"b"}]"#])
        .await
        .unwrap();
    let gone = marked("['@removed']", None);
    let page = r#"[{"id":2,"@removed":{"reason":"deleted"}},{"id":9,"@removed":{}}]"#;
    let tally = merge(&room, &table, &gone, [page, "[]"]).await.unwrap();
    assert_eq!(all(&tally), [0, 0, 1, 1, 0]);
    let rows = [
        "1|a|0|null|null",
        "2|b|1|2026-03-01T06:15:00.000Z|tombstone",
    ];
    assert_eq!(room.rows(MARKS).await, rows);
    // Told once more, it stays as it is; and what says so never makes a column.
    let again = merge(&room, &table, &gone, [page, "[]"]).await.unwrap();
    assert_eq!(all(&again), [0, 0, 2, 0, 0]);
    assert_eq!(room.kinds("t").await, ["id|integer", "v|text"]);
}

#[tokio::test]
async fn a_row_that_comes_back_loses_its_mark_whether_or_not_it_changed() {
    let room = Room::new();
    let table = losing(DeleteMode::Soft);
    let gone = marked("gone", Some(true.into()));
    let rows = r#"[{"id":1,"v":"a"},{"id":2,"v":"b"},{"id":3,"v":"c"}]"#;
    room.merge(&table, &[rows]).await.unwrap();
    let page = r#"[{"id":1,"gone":true},{"id":2,"gone":true},{"id":3,"v":"c","gone":false}]"#;
    let tally = merge(&room, &table, &gone, [page, "[]"]).await.unwrap();
    assert_eq!(all(&tally), [0, 1, 0, 2, 0]); // the flag became a column
    let back = r#"[{"id":1,"v":"a"},{"id":2,"v":"new"}]"#;
    let tally = merge(&room, &table, &gone, [back, "[]"]).await.unwrap();
    assert_eq!(all(&tally), [0, 0, 0, 0, 2]);
    let rows = room.rows(MARKS).await;
    assert_eq!(
        rows,
        ["1|a|1|null|null", "2|new|1|null|null", "3|c|1|null|null"]
    );
}

#[tokio::test]
async fn what_goes_and_comes_back_in_one_page_is_done_in_its_order() {
    for (mode, left) in [
        (DeleteMode::Soft, &["1|a|0", "2|b|1"][..]),
        (DeleteMode::Hard, &["1|a|0"]),
    ] {
        let room = Room::new();
        let table = losing(mode);
        room.merge(&table, &[r#"[{"id":1,"v":"old"}]"#])
            .await
            .unwrap();
        let page = r#"[{"id":1,"gone":1},{"id":1,"v":"a"},{"id":2,"v":"b"},{"id":2,"gone":1}]"#;
        let gone = marked("gone", Some(1.into()));
        let tally = merge(&room, &table, &gone, [page, "[]"]).await.unwrap();
        assert_eq!(tally.deleted, 2, "{mode:?}");
        let sql = match mode {
            DeleteMode::Soft => "SELECT id, v, sync_deleted_at IS NOT NULL FROM t ORDER BY id",
            _ => "SELECT id, v, 0 FROM t ORDER BY id",
        };
        assert_eq!(room.rows(sql).await, left, "{mode:?}");
    }
}

#[tokio::test]
async fn a_list_beside_the_records_names_rows_by_key_or_by_object() {
    let room = Room::new();
    let table = losing(DeleteMode::Hard);
    let rows = r#"[{"id":1,"v":"a"},{"id":2,"v":"b"},{"id":3,"v":"c"},{"id":4,"v":"d"}]"#;
    room.merge(&table, &[rows]).await.unwrap();
    // A page that still sends what it lists as gone means that it is there.
    let page = [
        r#"[{"id":4,"v":"d"}]"#,
        r#"[{"entity":1},{"entity":"2"},{"entity":4}]"#,
    ];
    let tally = merge(&room, &table, &listed_as("entity"), page)
        .await
        .unwrap();
    assert_eq!(all(&tally), [1, 0, 0, 3, 0]);
    assert_eq!(room.rows("SELECT id FROM t ORDER BY id").await, ["3", "4"]);
}

#[tokio::test]
async fn a_flow_that_ignores_deletions_neither_removes_nor_merges_what_tells_them() {
    let room = Room::new();
    let table = losing(DeleteMode::Ignore);
    room.merge(&table, &[r#"[{"id":1,"v":"a"}]"#])
        .await
        .unwrap();
    let gone = marked("gone", None);
    let page = [r#"[{"id":1,"gone":true}]"#, "[]"];
    let tally = merge(&room, &table, &gone, page).await.unwrap();
    assert_eq!(all(&tally), [0, 0, 1, 0, 0]);
    assert_eq!(room.rows("SELECT id, v FROM t").await, ["1|a"]);
}

#[tokio::test]
async fn a_deletion_older_than_its_row_is_none() {
    let room = Room::new();
    let table = losing(DeleteMode::Hard);
    let rows = r#"[{"id":1,"at":"9"},{"id":2,"at":"100"},{"id":3,"at":"100"},{"id":4,"at":null},{"id":5,"at":"5"}]"#;
    room.merge(&table, &[rows]).await.unwrap();
    let gone = Tombstones {
        newer_by: Some("at".parse().unwrap()),
        ..marked("gone", None)
    };
    // Numbers written as text: 100 is more than 20, though it sorts before it.
    let page = r#"[{"id":1,"at":"20","gone":1},{"id":2,"at":"20","gone":1},{"id":3,"at":"100","gone":1},
        {"id":4,"at":"1","gone":1},{"id":5,"gone":1}]"#;
    let tally = merge(&room, &table, &gone, [page, "[]"]).await.unwrap();
    assert_eq!(all(&tally), [0, 0, 2, 3, 0]);
    assert_eq!(room.rows("SELECT id FROM t ORDER BY id").await, ["2", "5"]);

    let gone = Tombstones {
        newer_by: Some("version".parse().unwrap()),
        ..gone
    };
    let error = merge(&room, &table, &gone, ["[]", "[]"]).await.unwrap_err();
    assert!(
        error.to_string().contains("no column for `version`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_deletion_that_does_not_say_which_row_is_an_error() {
    let room = Room::new();
    let table = losing(DeleteMode::Soft);
    room.merge(&table, &[r#"[{"id":1,"v":"a"}]"#])
        .await
        .unwrap();
    let page = ["[]", r#"[{"id":1},{"uid":2}]"#];
    let error = merge(&room, &table, &listed_as("id"), page)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `t`: page 1 says of a row that it is gone, and has no `id` to tell which \
         (deletion 2); its fields are `uid`"
    );
    assert!(error.hint().unwrap().contains("key = "));
}

#[tokio::test]
async fn a_table_that_never_lost_rows_gets_the_marks_when_it_may() {
    let room = Room::new();
    let page = [r#"[{"id":1,"v":"a"}]"#];
    room.merge(&table("t", &["id"]), &page).await.unwrap();
    let columns = "SELECT group_concat(name) FROM pragma_table_info('t')";
    assert_eq!(room.rows(columns).await, ["id,v,sync_at"]);
    let merged = room.merge(&losing(DeleteMode::Soft), &page).await.unwrap();
    assert_eq!(counts(&merged), [0, 0, 1]);
    let after = ["id,v,sync_at,sync_deleted_at,sync_deleted_reason"];
    assert_eq!(room.rows(columns).await, after);
}
