//! Lists, pages, filters, feeds and single records.

use std::collections::BTreeSet;

use serde_json::Value;
use tidegate::sandbox::Settings;

use crate::guest::{Guest, header, json, plain};

const PROJECTS: &str = "/api/v1/123456/project/Projects";
const SYNC: &str = "/api/v1/123456/sync/Project/Projects";
const DELETED: &str = "/api/v1/123456/sync/Deleted";

/// A sandbox nobody has to hurry in.
fn patient() -> Settings {
    Settings {
        calls_per_minute: 1_000,
        ..Settings::default()
    }
}

fn ids(records: &[Value]) -> BTreeSet<&str> {
    records
        .iter()
        .map(|record| record["ID"].as_str().unwrap())
        .collect()
}

/// Asserts that two records hold the same, numbers compared as numbers.
fn same(record: &Value, truth: &Value) {
    for (name, value) in record.as_object().unwrap() {
        let equal = match (value, &truth[name]) {
            (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
            // 64-bit integers travel as text.
            (Value::String(a), Value::Number(b)) => *a == b.to_string(),
            (a, b) => a == b,
        };
        assert!(equal, "{name}: {value} is not {}", truth[name]);
    }
}

#[tokio::test]
async fn pages_to_the_end_are_what_the_source_holds() {
    let guest = Guest::arrive(patient()).await;
    let access = guest.sign_in().await.access;
    let (records, sizes) = guest.get_all(PROJECTS, &access).await;
    assert_eq!(sizes, [60, 60, 60, 60, 60]);
    let truth = guest.sandbox.projects();
    assert_eq!(records.len(), truth.len());
    for (record, truth) in records.iter().zip(&truth) {
        let record = plain(record);
        // All but the row version, which only the sync feed tells.
        assert_eq!(
            record.as_object().unwrap().len() + 1,
            truth.as_object().unwrap().len()
        );
        same(&record, truth);
    }
}

#[tokio::test]
async fn every_order_leads_through_every_record_once() {
    let guest = Guest::arrive(patient()).await;
    let access = guest.sign_in().await.access;
    guest.sandbox.change_projects(100);
    for order in ["Modified", "Code%20desc", "EndDate,Code", "ID"] {
        let target = format!("{PROJECTS}?$select=ID,Code,Modified,EndDate&$orderby={order}");
        let (records, _) = guest.get_all(&target, &access).await;
        assert_eq!((records.len(), ids(&records).len()), (300, 300), "{order}");
    }
}

#[tokio::test]
async fn next_links_are_absolute_and_half_encoded() {
    let guest = Guest::arrive(patient()).await;
    let access = guest.sign_in().await.access;
    let target = format!(
        "{PROJECTS}?$select=ID,Modified&$filter=Modified%20ge%20datetime'2000-01-01T00:00:00'&$orderby=Modified"
    );
    let body = guest.get_json(&target, &access).await;
    let next = body["d"]["__next"].as_str().unwrap();
    let start = format!(
        "{}?$select=ID,Modified&$filter=Modified%20ge%20datetime'2000-01-01T00%3A00%3A00'&$orderby=Modified&$skiptoken=datetime'20",
        guest.url(PROJECTS)
    );
    assert!(next.starts_with(&start), "{next}");
    assert!(next.ends_with('\'') && next.contains("',guid'"), "{next}");
}

#[tokio::test]
async fn top_decides_between_an_array_and_results() {
    let guest = Guest::arrive(patient()).await;
    let access = guest.sign_in().await.access;
    let few = guest
        .get_json(&format!("{PROJECTS}?$top=60"), &access)
        .await;
    assert_eq!(few["d"].as_array().unwrap().len(), 60);
    let many = guest
        .get_json(&format!("{PROJECTS}?$top=100&$select=ID"), &access)
        .await;
    let next = many["d"]["__next"].as_str().unwrap();
    assert!(next.contains("&$top=40&$select=ID"), "{next}");
    let rest = guest.get_json(next, &access).await;
    assert_eq!(rest["d"].as_array().unwrap().len(), 40);
    let counted = guest
        .get_json(&format!("{PROJECTS}?$top=1&$inlinecount=allpages"), &access)
        .await;
    assert_eq!(counted["d"]["__count"], "300");
}

#[tokio::test]
async fn filters_find_what_they_name() {
    let guest = Guest::arrive(patient()).await;
    let access = guest.sign_in().await.access;
    let truth = guest.sandbox.projects();
    let (id, code) = (
        truth[7]["ID"].as_str().unwrap(),
        truth[7]["Code"].as_str().unwrap(),
    );
    for filter in [
        format!("ID%20eq%20guid'{id}'"),
        format!("Code%20eq%20'{code}'"),
    ] {
        let target = format!("{PROJECTS}?$select=ID&$filter={filter}");
        let (records, _) = guest.get_all(&target, &access).await;
        assert_eq!(ids(&records), BTreeSet::from([id]));
    }
    guest.pass(60);
    let changed = guest.sandbox.change_projects(5);
    // Nine in Amsterdam, when it is eight in Greenwich.
    let target =
        format!("{PROJECTS}?$select=ID&$filter=Modified%20ge%20datetime'2026-01-05T09:01:00'");
    let (records, _) = guest.get_all(&target, &access).await;
    assert_eq!(ids(&records), changed.iter().map(String::as_str).collect());
}

#[tokio::test]
async fn one_record_comes_by_its_key_or_not_at_all() {
    let guest = Guest::arrive(patient()).await;
    let access = guest.sign_in().await.access;
    let truth = guest.sandbox.projects();
    let id = truth[3]["ID"].as_str().unwrap();
    let one = guest
        .get_json(&format!("{PROJECTS}(guid'{id}')"), &access)
        .await;
    assert!(
        one["d"]["__metadata"]["uri"]
            .as_str()
            .unwrap()
            .ends_with(&format!("(guid'{id}')"))
    );
    assert!(one["d"]["InvoiceTerms"]["__deferred"]["uri"].is_string());
    same(&plain(&one["d"]), &truth[3]);
    let gone = guest.sandbox.delete_projects(1).remove(0);
    let answer = guest
        .get(&format!("{PROJECTS}(guid'{gone}')"), &access)
        .await;
    assert_eq!(answer.status(), 404);
    let body = json(answer).await;
    assert!(body["error"]["message"]["value"].is_string());
}

#[tokio::test]
async fn the_sync_feed_tells_what_changed_since_a_row_version() {
    let settings = Settings {
        projects: 1_500,
        ..patient()
    };
    let guest = Guest::arrive(settings).await;
    let access = guest.sign_in().await.access;
    assert_eq!(guest.get(SYNC, &access).await.status(), 400);
    let since = |version: i64| {
        format!("{SYNC}?$select=ID,Code,Timestamp,Modified&$filter=Timestamp%20gt%20{version}L")
    };
    let (records, sizes) = guest.get_all(&since(1), &access).await;
    assert_eq!(sizes, [1_000, 500]);
    let version = |record: &Value| {
        record["Timestamp"]
            .as_str()
            .unwrap()
            .parse::<i64>()
            .unwrap()
    };
    assert!(records.is_sorted_by_key(version));
    let last = version(records.last().unwrap());
    let changed = guest.sandbox.change_projects(3);
    let added = guest.sandbox.insert_projects(2);
    let (records, _) = guest.get_all(&since(last), &access).await;
    assert_eq!(
        ids(&records),
        changed.iter().chain(&added).map(String::as_str).collect()
    );
}

#[tokio::test]
async fn the_deleted_feed_keeps_traces_for_two_months() {
    let guest = Guest::arrive(patient()).await;
    let access = guest.sign_in().await.access;
    let gone = guest.sandbox.delete_projects(4);
    assert_eq!(guest.sandbox.count(), 296);
    let target = format!("{DELETED}?$filter=Timestamp%20gt%201");
    let (records, _) = guest.get_all(&target, &access).await;
    let keys: Vec<&str> = records
        .iter()
        .map(|record| record["EntityKey"].as_str().unwrap())
        .collect();
    assert_eq!(keys, gone);
    assert!(records.iter().all(|record| record["EntityType"] == 21));
    // The number says nine: Amsterdam's wall clock, written down as though it were UTC.
    assert_eq!(records[0]["DeletedDate"], "/Date(1767603600000)/");
    guest.pass(62 * 86_400);
    let access = guest.sign_in().await.access;
    assert!(guest.get_all(&target, &access).await.0.is_empty());
}

#[tokio::test]
async fn the_person_and_the_divisions_can_be_asked_for() {
    let guest = Guest::arrive(patient()).await;
    let access = guest.sign_in().await.access;
    let me = guest
        .get("/api/v1/current/Me?$select=CurrentDivision", &access)
        .await;
    assert_eq!(header(&me, "x-ratelimit-limit"), "");
    let me = json(me).await;
    assert_eq!(me["d"]["results"][0]["CurrentDivision"], 123_456);
    let (divisions, _) = guest
        .get_all("/api/v1/123456/system/Divisions", &access)
        .await;
    assert_eq!(divisions.len(), guest.sandbox.divisions().len());
    assert!(divisions[0]["Hid"].is_string());
    let other = guest.sandbox.divisions()[1];
    let (records, _) = guest
        .get_all(&format!("/api/v1/{other}/project/Projects"), &access)
        .await;
    assert_eq!(records.len(), guest.sandbox.projects_of(other).len());
    let answer = guest.get("/api/v1/999999/project/Projects", &access).await;
    assert_eq!(answer.status(), 403);
    assert_eq!(header(&answer, "reason"), "NoDivisionAccess");
}

#[tokio::test]
async fn who_does_not_ask_for_json_gets_atom() {
    let guest = Guest::arrive(patient()).await;
    let access = guest.sign_in().await.access;
    let answer = guest
        .http
        .get(guest.url(PROJECTS))
        .bearer_auth(&access)
        .send()
        .await
        .unwrap();
    assert!(header(&answer, "content-type").starts_with("application/atom+xml"));
    assert!(answer.text().await.unwrap().starts_with("<?xml"));
}
