//! Refresh tokens rotate, answers are lost, and nothing else is.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::world::{COUNTRIES, LIFE, World};

#[test]
fn each_rotated_refresh_token_is_presented_once_and_in_turn() {
    const EXPIRIES: usize = 6;
    let Some(world) = World::of("person-public", COUNTRIES) else {
        return;
    };
    world.log_in();
    world.sync();
    for turn in 1..=EXPIRIES {
        world.outlive_the_access_token();
        world.server.change(
            "countries",
            &[json!({ "cca3": "NLD", "area": 41_850 + turn })],
        );
        world.sync();
        world.assert_equal("countries", "countries", "cca3");
    }
    let ledger = world.server.ledger();
    assert_eq!(ledger.len(), 1 + EXPIRIES, "{ledger:#?}");
    for (before, request) in ledger.iter().zip(&ledger[1..]) {
        assert_eq!(
            request["presented"], before["issued"],
            "the token just issued is presented"
        );
        assert_eq!(request["status"], 200);
        assert_eq!(request["parallel"], 0);
    }
    assert_eq!(world.assert_repeats_are_doubts(), 0);
}

#[test]
fn an_answer_lost_after_the_commit_asks_for_a_login_and_loses_nothing() {
    lose_an_answer(&json!({ "kind": "drop" }));
}

#[test]
fn an_answer_cut_short_asks_for_a_login_and_loses_nothing() {
    lose_an_answer(&json!({ "kind": "cut" }));
}

/// Lets `fault` take an answer after the server has committed to it.
fn lose_an_answer(fault: &Json) {
    let Some(world) = World::of("person-basic", COUNTRIES) else {
        return;
    };
    world.log_in();
    world.sync();
    let before = world.table("countries", "cca3");
    world.server.change(
        "countries",
        &[json!({ "cca3": "NLD", "capital": ["’s-Gravenhage"] })],
    );
    world.outlive_the_access_token();
    world.server.fail_next(fault);

    let run = world
        .house
        .run_as_time_passes(&["--run-now"])
        .expect_code(3);
    assert!(
        run.stderr.contains("tidegate login atlas"),
        "{}",
        run.stderr
    );
    let refreshes = world.refreshes();
    assert_eq!(
        refreshes.len(),
        2,
        "the old token is tried once more, then never: {refreshes:#?}"
    );
    assert_eq!(refreshes[0]["outcome"], "undelivered");
    assert_eq!(refreshes[1]["presented"], refreshes[0]["presented"]);
    assert_eq!(refreshes[1]["error"], "invalid_grant");
    assert_eq!(world.assert_repeats_are_doubts(), 1);
    let health = world.health();
    assert_eq!(health["state"], "needs_login", "{health}");
    assert_eq!(health["reason"], "rotation_answer_lost", "{health}");
    assert_eq!(world.table("countries", "cca3"), before);

    world
        .house
        .run_as_time_passes(&["--run-now"])
        .expect_code(3);
    assert_eq!(
        world.refreshes().len(),
        2,
        "a refused token is not presented again"
    );

    world.log_in();
    world.sync();
    world.assert_equal("countries", "countries", "cca3");
    assert_eq!(world.health()["state"], "ok");
    world.outlive_the_access_token();
    world.sync();
    assert_eq!(world.refreshes().len(), 3, "and the new chain rotates");
}

#[test]
fn a_grant_revoked_because_somebody_else_used_an_old_token_asks_for_a_login() {
    let Some(world) = World::of("person-basic", COUNTRIES) else {
        return;
    };
    world.log_in();
    world.sync();
    world.outlive_the_access_token();
    world.sync();
    let thief = world.server.admin("POST", "replay");
    assert_eq!(thief["error"], "invalid_grant", "{thief}");

    // The access token died with the grant, and so did the refresh token that was never used.
    world.house.clock().advance(LIFE / 2).unwrap();
    let ran = world.house.run_as_time_passes(&["--run-now"]);
    assert!(ran.code == Some(3) || ran.code == Some(1), "{ran:#?}");
    // A first refusal is confirmed once.
    world.outlive_the_access_token();
    let ran = world
        .house
        .run_as_time_passes(&["--run-now"])
        .expect_code(3);
    assert!(ran.stderr.contains("tidegate login atlas"), "{ran:#?}");
    let health = world.health();
    assert_eq!(health["state"], "needs_login", "{health}");
    assert_eq!(health["reason"], "refused", "{health}");

    world.log_in();
    world.sync();
    assert_eq!(world.health()["state"], "ok");
}

#[test]
fn trouble_on_the_line_before_the_server_saw_the_request_costs_no_login() {
    let Some(world) = World::of("person-basic", COUNTRIES) else {
        return;
    };
    world.log_in();
    world.sync();
    for fault in [
        json!({ "kind": "lose" }),
        json!({ "kind": "status", "status": 503 }),
        json!({ "kind": "html" }),
    ] {
        world.outlive_the_access_token();
        world.server.fail_next(&fault);
        // Whether this run waits for the retry or leaves it to the next one is not the point.
        let run = world.house.run_as_time_passes(&["--run-now"]);
        assert!(matches!(run.code, Some(0 | 1)), "{fault}: {run:#?}");
        world
            .house
            .clock()
            .advance(Duration::from_secs(120))
            .unwrap();
        world
            .house
            .run_as_time_passes(&["--run-now"])
            .expect_code(0);
        assert_eq!(world.health()["state"], "ok", "{fault}");
    }
    world.assert_repeats_are_doubts();
    world.assert_equal("countries", "countries", "cca3");
}

#[test]
fn a_slow_answer_is_waited_for() {
    let Some(world) = World::of("person-basic", COUNTRIES) else {
        return;
    };
    world.log_in();
    world.outlive_the_access_token();
    world
        .server
        .fail_next(&json!({ "kind": "delay", "ms": 1500 }));
    world.sync();
    assert_eq!(world.refreshes().len(), 1);
    world.assert_equal("countries", "countries", "cca3");
}

#[test]
fn client_credentials_need_no_login_and_outlive_their_tokens() {
    let Some(world) = World::of("machine", COUNTRIES) else {
        return;
    };
    for _ in 0..3 {
        world.sync();
        world.outlive_the_access_token();
    }
    world.assert_equal("countries", "countries", "cca3");
    let ledger = world.server.ledger();
    assert_eq!(ledger.len(), 3, "{ledger:#?}");
    assert!(
        ledger
            .iter()
            .all(|request| request["grant_type"] == "client_credentials")
    );
}
