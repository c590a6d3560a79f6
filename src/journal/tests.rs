use tempfile::TempDir;

use super::*;
use crate::store::{self, Store};

fn room() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("data.db"), &store::DATA).unwrap();
    (directory, store)
}

async fn write<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
) -> T {
    store.write(work).await.unwrap()
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// An instant so many minutes after an arbitrary one.
fn minute(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_772_000_000 + minutes * 60).unwrap()
}

fn failure(outcome: Outcome) -> Ending {
    Ending {
        outcome,
        error: Some("could not fetch page 2".to_owned()),
        hint: Some("sign in".to_owned()),
        remedy: Some(Remedy::Login),
        resumes_at: (outcome == Outcome::Parked).then(|| minute(600)),
    }
}

#[tokio::test]
async fn a_run_tells_what_it_did_why_and_how_it_ended() {
    let (_directory, store) = room();
    let rows = write(&store, |tx| {
        let bookmark = CursorValue::Integer(7);
        let (flow, slot) = (name("f"), Some(minute(0)));
        let run = open(
            tx,
            &flow,
            Trigger::CatchUp,
            slot,
            Some(&bookmark),
            minute(1),
        )?;
        let tally = Tally {
            pages: 1,
            records: 60,
            inserted: 59,
            requests: 2,
            ..Tally::default()
        };
        progress(tx, run, &tally)?;
        progress(tx, run, &tally)?;
        note(tx, run, "resumed at page 3")?;
        note(tx, run, "a\nline")?;
        close(tx, run, &failure(Outcome::Failed), minute(2))?;
        close(tx, run, &Ending::success(), minute(3))?;
        recent(tx, None, 10)
    })
    .await;
    let tally = Tally {
        pages: 2,
        records: 120,
        inserted: 118,
        requests: 4,
        ..Tally::default()
    };
    let expected = RunRow {
        run: 1,
        flow: "f".to_owned(),
        trigger: Trigger::CatchUp,
        slot_at: Some(minute(0)),
        started_at: minute(1),
        ended_at: Some(minute(2)),
        outcome: Some(Outcome::Failed),
        tally,
        bookmark: Some("7".to_owned()),
        error: Some("could not fetch page 2".to_owned()),
        hint: Some("sign in".to_owned()),
        remedy: Some(Remedy::Login),
        resumes_at: None,
        notes: vec!["resumed at page 3".to_owned(), "a line".to_owned()],
    };
    assert_eq!(rows, [expected]);
    let json = serde_json::to_value(&rows[0]).unwrap();
    assert_eq!(
        (&json["trigger"], &json["records"]),
        (&"catch_up".into(), &120.into())
    );
}

#[tokio::test]
async fn a_run_that_a_crash_left_open_is_closed_by_the_next_of_its_flow_alone() {
    let (_directory, store) = room();
    let rows = write(&store, |tx| {
        for flow in ["f", "g", "f"] {
            open(tx, &name(flow), Trigger::Manual, None, None, minute(1))?;
        }
        recent(tx, None, 10)
    })
    .await;
    let outcomes: Vec<_> = rows
        .iter()
        .map(|row| (row.flow.as_str(), row.outcome))
        .collect();
    assert_eq!(
        outcomes,
        [("f", None), ("g", None), ("f", Some(Outcome::Interrupted))]
    );
    assert_eq!(write(&store, |tx| interrupt(tx, None, minute(2))).await, 2);
}

#[tokio::test]
async fn slots_are_remembered_by_runs_and_by_skips_and_never_go_back() {
    let (_directory, store) = room();
    let slots = write(&store, |tx| {
        notice(tx, &name("new"), minute(0))?;
        notice(tx, &name("new"), minute(5))?;
        open(
            tx,
            &name("f"),
            Trigger::Scheduled,
            Some(minute(30)),
            None,
            minute(31),
        )?;
        skip(
            tx,
            &name("f"),
            Trigger::Scheduled,
            Some(minute(45)),
            "still running",
            minute(45),
        )?;
        remember(tx, &name("f"), minute(15), minute(46))?;
        slots(tx)
    })
    .await;
    let states: Vec<_> = slots
        .iter()
        .map(|s| (s.first_seen_at, s.last_slot_at))
        .collect();
    assert_eq!(states, [(minute(31), Some(minute(45))), (minute(0), None)]);
}

#[tokio::test]
async fn a_parked_flow_resumes_until_another_run_of_it_ends() {
    let (_directory, store) = room();
    let resumes = write(&store, |tx| {
        let flow = name("f");
        notice(tx, &flow, minute(0))?;
        let mut found = Vec::new();
        let run = open(tx, &flow, Trigger::Manual, None, None, minute(1))?;
        close(tx, run, &failure(Outcome::Parked), minute(2))?;
        found.push(slots(tx)?[0].resumes_at);
        skip(
            tx,
            &flow,
            Trigger::Scheduled,
            Some(minute(3)),
            "parked",
            minute(3),
        )?;
        found.push(slots(tx)?[0].resumes_at);
        let run = open(tx, &flow, Trigger::Resume, None, None, minute(600))?;
        close(tx, run, &Ending::success(), minute(601))?;
        found.push(slots(tx)?[0].resumes_at);
        Ok(found)
    })
    .await;
    assert_eq!(resumes, [Some(minute(600)), Some(minute(600)), None]);
}

#[tokio::test]
async fn pruning_keeps_each_flows_latest_run_and_latest_success() {
    let (_directory, store) = room();
    let (rows, last) = write(&store, |tx| {
        for (at, flow, outcome) in [
            (1, "f", Outcome::Succeeded),
            (2, "f", Outcome::Succeeded),
            (3, "f", Outcome::Failed),
            (4, "f", Outcome::Failed),
            (5, "g", Outcome::Failed),
            (90, "g", Outcome::Succeeded),
        ] {
            let run = open(tx, &name(flow), Trigger::Manual, None, None, minute(at))?;
            close(
                tx,
                run,
                &Ending {
                    outcome,
                    ..Ending::success()
                },
                minute(at),
            )?;
        }
        skip(
            tx,
            &name("f"),
            Trigger::Scheduled,
            None,
            "overlap",
            minute(6),
        )?;
        prune(tx, minute(60))?;
        Ok((recent(tx, None, 10)?, last_success(tx)?))
    })
    .await;
    let kept: Vec<_> = rows.iter().map(|row| row.run).collect();
    assert_eq!(kept, [6, 4, 2]);
    assert_eq!(
        last,
        [("f".to_owned(), minute(2)), ("g".to_owned(), minute(90))].into()
    );
}

#[tokio::test]
async fn recent_runs_are_of_one_flow_if_asked_and_no_more_than_asked() {
    let (_directory, store) = room();
    let found = write(&store, |tx| {
        for flow in ["f", "g", "g"] {
            open(tx, &name(flow), Trigger::Manual, None, None, minute(1))?;
        }
        Ok((recent(tx, Some("g"), 10)?.len(), recent(tx, None, 1)?.len()))
    })
    .await;
    assert_eq!(found, (2, 1));
}
