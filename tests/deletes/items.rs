//! A flow that is repeated for items deletes what its items lost, and nothing of those it did not
//! read whole.

use std::sync::{Arc, Mutex};

use crate::shelf::{Shelf, records};
use crate::support::{Asked, answer, json};

/// What each item has; `None` for one that cannot be read.
type Shelves = Arc<Mutex<[Option<Vec<i64>>; 2]>>;

fn shelves(lines: &str, first: [Vec<i64>; 2]) -> (Shelf, Shelves) {
    let [one, two] = first;
    let held: Shelves = Arc::new(Mutex::new([Some(one), Some(two)]));
    let held_here = Arc::clone(&held);
    let shelf = Shelf::answering(lines, move |asked: &Asked| {
        let held = held_here.lock().unwrap();
        let item = if asked.line.contains("shelf=1") {
            &held[0]
        } else {
            &held[1]
        };
        match item {
            Some(keys) => json(&records(keys.iter().copied())),
            None => answer(404, &[], ""),
        }
    });
    (shelf, held)
}

const TOLD_APART: &str = r#"
paging = "none"
query = { shelf = "{{ each.id }}" }
for_each = { list = [{ id = 1 }, { id = 2 }] }
with = { shelf = "{{ each.id }}" }
deletes = { sweep = "once" }
"#;

#[test]
fn an_item_that_could_not_be_read_keeps_its_rows_while_others_lose_theirs() {
    let (shelf, held) = shelves(TOLD_APART, [(1..=20).collect(), (21..=40).collect()]);
    shelf.counts();
    *held.lock().unwrap() = [Some((2..=20).collect()), None];
    shelf.run().expect_code(1);
    assert_eq!(shelf.rows().1, [1]);
    // Read again, the second has lost one too.
    *held.lock().unwrap() = [Some((2..=20).collect()), Some((22..=40).collect())];
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 38 unchanged, 1 deleted"
    );
    assert_eq!(shelf.rows().1, [1, 21]);
}

#[test]
fn rows_that_do_not_say_for_which_item_they_were_read_wait_until_all_items_are_read() {
    let lines = TOLD_APART.replace("with = { shelf = \"{{ each.id }}\" }\n", "");
    let (shelf, held) = shelves(&lines, [(1..=20).collect(), (21..=40).collect()]);
    shelf.counts();
    *held.lock().unwrap() = [Some((2..=20).collect()), None];
    shelf.run().expect_code(1);
    assert_eq!(shelf.rows().1, [0_i64; 0]);
    // A row that only moved from one item to the other stays.
    *held.lock().unwrap() = [Some((2..=19).collect()), Some((20..=40).collect())];
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 39 unchanged, 1 deleted"
    );
    assert_eq!(shelf.rows().1, [1]);
}

#[test]
fn an_item_may_have_nothing_left_but_not_lose_many_rows_at_once() {
    let (shelf, held) = shelves(TOLD_APART, [(1..=5).collect(), (21..=400).collect()]);
    shelf.counts();
    *held.lock().unwrap() = [Some(vec![]), Some((21..=400).collect())];
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 380 unchanged, 5 deleted"
    );

    // Less than a tenth of all rows, but all of its own: a lost right looks like this.
    let (shelf, held) = shelves(TOLD_APART, [(1..=20).collect(), (21..=400).collect()]);
    shelf.counts();
    *held.lock().unwrap() = [Some(vec![]), Some((21..=400).collect())];
    let ran = shelf.run().expect_code(1);
    let says = "no longer has 20 of the 20 rows of `item` (shelf 1) (1, 2, 3, 4, 5, …)";
    assert!(ran.stderr.contains(says), "{ran:#?}");
    assert_eq!(shelf.rows().1, [0_i64; 0]);
}

#[test]
fn the_rows_of_an_item_that_is_no_longer_read_are_gone_once_all_others_are_whole() {
    let (shelf, _held) = shelves(TOLD_APART, [(1..=5).collect(), (21..=100).collect()]);
    shelf.counts();
    shelf.configure(&TOLD_APART.replace("{ id = 1 }, ", ""));
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 80 unchanged, 5 deleted"
    );
    assert_eq!(shelf.rows().1, [1, 2, 3, 4, 5]);
}

#[test]
fn rows_that_wait_for_a_second_look_are_waited_for_item_by_item() {
    let lines = TOLD_APART.replace("once", "twice");
    let (shelf, held) = shelves(&lines, [(1..=20).collect(), (21..=40).collect()]);
    shelf.counts();
    *held.lock().unwrap() = [Some((2..=20).collect()), Some((22..=40).collect())];
    assert_eq!(shelf.counts(), "0 inserted, 0 updated, 38 unchanged");
    // The second look at the first item; the second item cannot be read.
    *held.lock().unwrap() = [Some((2..=20).collect()), None];
    shelf.run().expect_code(1);
    assert_eq!(shelf.rows().1, [1]);
    *held.lock().unwrap() = [Some((2..=20).collect()), Some((22..=40).collect())];
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 38 unchanged, 1 deleted"
    );
    assert_eq!(shelf.rows().1, [1, 21]);
}
