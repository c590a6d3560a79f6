//! The source says itself what is gone.

use crate::shelf::{Shelf, records};

#[test]
fn a_flag_marks_its_row_and_a_row_that_comes_back_is_restored() {
    let lines = r#"
paging = "none"
tombstones = { field = "deleted", equals = true }
deletes = { sweep = "never" }
"#;
    let (shelf, content) = Shelf::holding(lines, &records(1..=3));
    assert_eq!(shelf.counts(), "3 inserted, 0 updated, 0 unchanged");
    content.set(r#"[{"id":2,"deleted":true},{"id":3,"name":"n3"}]"#);
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 1 unchanged, 1 deleted"
    );
    assert_eq!(shelf.rows(), (vec![1, 3], vec![2]));
    content.set(&records([2]));
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 0 unchanged, 1 restored"
    );
    assert_eq!(shelf.rows(), (vec![1, 2, 3], vec![]));
    // The journal tells the same.
    let runs = shelf.house.run(&["runs", "--json"]).expect_code(0).json();
    assert_eq!(
        (&runs[0]["restored"], &runs[1]["deleted"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn a_list_beside_the_records_marks_what_it_names() {
    let lines = r#"
paging = "none"
records = "changed"
tombstones = { list = "meta.gone", key = "item" }
deletes = { sweep = "never" }
"#;
    let (shelf, content) = Shelf::holding(lines, &format!(r#"{{"changed":{}}}"#, records(1..=4)));
    assert_eq!(shelf.counts(), "4 inserted, 0 updated, 0 unchanged");
    content.set(r#"{"meta":{"gone":[{"item":1},{"item":4},7]},"changed":[]}"#);
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 1 unchanged, 2 deleted"
    );
    assert_eq!(shelf.rows(), (vec![2, 3], vec![1, 4]));
    content.set(r#"{"meta":{"gone":{"item":2}},"changed":[]}"#);
    let ran = shelf.run().expect_code(1);
    let says = "has an object where the list of what is gone should be";
    assert!(ran.stderr.contains(says), "{ran:#?}");
    assert!(
        ran.stderr.contains("check `list` in `tombstones`"),
        "{ran:#?}"
    );
}
