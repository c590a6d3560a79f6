//! `discover`: flows from what a source says about itself.

use insta::assert_snapshot;
use serde_json::json;

use tidegate::sandbox::Settings;

use crate::support::{Asked, Exact, Scripted, TempHouse, answer};

/// A service of trips, described as OData version 4 has it.
const TRIPS: &str = r#"<?xml version="1.0"?>
<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>
<Schema Namespace="Trips" xmlns="http://docs.oasis-open.org/odata/ns/edm">
 <EntityType Name="Person"><Key><PropertyRef Name="UserName"/></Key>
  <Property Name="UserName" Type="Edm.String" Nullable="false"/>
  <Property Name="Emails" Type="Collection(Edm.String)"/>
  <Property Name="Age" Type="Edm.Int64"/>
  <Property Name="LastModified" Type="Edm.DateTimeOffset"/></EntityType>
 <EntityType Name="Airline"><Key><PropertyRef Name="Code"/><PropertyRef Name="Country"/></Key>
  <Property Name="Code" Type="Edm.String"/><Property Name="Country" Type="Edm.String"/></EntityType>
 <EntityContainer Name="All"><EntitySet Name="People" EntityType="Trips.Person"/>
  <EntitySet Name="Airlines" EntityType="Trips.Airline"/></EntityContainer>
</Schema></edmx:DataServices></edmx:Edmx>"#;

/// A shop, described as OpenAPI 3 has it.
const SHOP: &str = r##"{"openapi":"3.1.0","info":{"title":"Shop","version":"1"},
"servers":[{"url":"/v1"}],
"paths":{
 "/orders":{"get":{"parameters":[{"$ref":"#/components/parameters/Page"},
   {"name":"per_page","in":"query","schema":{"type":"integer","maximum":250}},
   {"name":"updated_since","in":"query","schema":{"type":"string"}},
   {"name":"shop","in":"query","required":true,"schema":{"type":"string"}}],
  "responses":{"200":{"content":{"application/json":{"schema":{"type":"object","properties":{
    "data":{"type":"array","items":{"$ref":"#/components/schemas/Order"}},
    "total":{"type":"integer"}}}}}}}},
  "post":{"responses":{"201":{}}}},
 "/orders/{order-id}/lines":{"get":{"parameters":[{"name":"order-id","in":"path","required":true}],
  "responses":{"200":{"content":{"application/json":{"schema":{"type":"array",
    "items":{"type":"object","properties":{"sku":{"type":"string"}}}}}}}}}},
 "/health":{"get":{"responses":{"200":{"content":{"application/json":{"schema":{"type":"object"}}}}}}}},
"components":{"parameters":{"Page":{"name":"page","in":"query","schema":{"type":"integer"}}},
 "schemas":{"Order":{"allOf":[{"$ref":"#/components/schemas/Thing"},{"type":"object","properties":{
   "total":{"type":"number"},"lines":{"type":"array","items":{}},
   "updated_at":{"type":"string","format":"date-time"}}}]},
  "Thing":{"type":"object","properties":{"id":{"type":"integer"},"sync_at":{"type":"string"}}}}}}"##;

/// The token of the connection.
const TOKEN: &str = "shop-token-1b9f0c";

fn house(base_url: &str) -> TempHouse {
    let house = TempHouse::new(&format!(
        "[connection.shop]\nbase_url = \"{base_url}\"\ntoken = {{ file = \"shop-token\" }}\n"
    ));
    house.write_private("shop-token", TOKEN);
    house
}

/// Fails unless `check` finds nothing wrong with what was written, cursors included.
fn assert_right(house: &TempHouse, flows: &str) {
    let connection = std::fs::read_to_string(house.config()).unwrap();
    house.write_private("found.toml", &format!("{connection}\n{flows}"));
    let path = house.path("found.toml");
    let check = ["check", "--config", path.to_str().unwrap()];
    house.run(&check).expect_code(0);
    // Each flow with the first of its cursors.
    let mut is_first = true;
    let lines = flows.lines().filter_map(|line| {
        is_first |= line.starts_with("[flow.");
        // Where no filter asks for what changed, a person has to say how.
        let cursor = line.strip_prefix("# cursor");
        match cursor.filter(|rest| rest.contains("filter = ")) {
            Some(rest) if std::mem::take(&mut is_first) => Some(format!("cursor{rest}\n")),
            Some(_) => None,
            None => Some(format!("{line}\n")),
        }
    });
    let flows: String = lines.collect();
    house.write_private("found.toml", &format!("{connection}\n{flows}"));
    house.run(&check).expect_code(0);
}

#[test]
fn odata_metadata_becomes_flows_that_are_right_and_run() {
    let server = Scripted::start(|asked: &Asked| match asked.line.as_str() {
        "GET /svc/$metadata" => answer(200, &["content-type: application/xml"], TRIPS),
        line if line.starts_with("GET /svc/People?$select=UserName,Emails,Age,LastModified") => {
            let body =
                r#"{"value":[{"UserName":"ann","Emails":["a@b"],"Age":7,"LastModified":null}]}"#;
            answer(200, &["content-type: application/json"], body)
        }
        _ => answer(404, &[], ""),
    });
    let house = house(&format!("{}/svc", server.url));
    let flows = house.run(&["discover", "shop"]).expect_code(0).stdout;
    assert_snapshot!(flows.replace(&server.url, "[server]"), @r##"
    # From OData 4.0 at [server]/svc/$metadata. Look at a flow before it runs: tidegate preview FLOW

    [flow.People]
    connection = "shop"
    url        = "/People"
    query      = { "$select" = "UserName,Emails,Age,LastModified" }
    paging     = "odata"
    key        = ["UserName"]
    # To read only what changed, take one that every change moves:
    # cursor = { field = "LastModified", filter = "LastModified ge {{ bookmark }}" }
    [flow.People.columns]
    UserName = "UserName"
    Emails = { type = "json" }
    Age = { type = "integer" }
    LastModified = { type = "timestamp" }

    [flow.Airlines]
    connection = "shop"
    url        = "/Airlines"
    query      = { "$select" = "Code,Country" }
    paging     = "odata"
    key        = ["Code", "Country"]
    [flow.Airlines.columns]
    Code = "Code"
    Country = "Country"
    "##);
    let sent = server.asked()[0].header("authorization");
    assert_eq!(sent, Some(format!("Bearer {TOKEN}")));
    assert_right(&house, &flows);

    let connection = std::fs::read_to_string(house.config()).unwrap();
    house.write_private("tidegate.toml", &format!("{connection}\n{flows}"));
    house.run(&["--run-now", "People"]).expect_code(0);
    assert_eq!(house.rows("SELECT Emails, Age FROM People").len(), 1);
}

#[test]
fn an_openapi_document_becomes_flows_as_far_as_it_tells() {
    let house = house("https://shop.example/v1/");
    house.write_private("openapi.json", SHOP);
    let file = house.path("openapi.json");
    let file = file.to_str().unwrap();
    let discover = |more: &[&str]| {
        let words = [&["discover", "shop", "--file", file], more].concat();
        house.run(&words)
    };
    let flows = discover(&[]).expect_code(0).stdout;
    assert_snapshot!(flows, @r##"
    # From OpenAPI 3.1.0. Look at a flow before it runs: tidegate preview FLOW

    [flow.orders]
    connection = "shop"
    url        = "/orders"
    query      = { "shop" = "FILL_IN" }
    records    = "$.data[*]"
    paging     = { style = "page", param = "page", first = 1, size = { param = "per_page", value = 250 } }    # some count from 0
    key        = ["id"]
    # To read only what changed, take one that every change moves:
    # cursor = { field = "updated_at" }    # and in query: "updated_since" = "{{ bookmark }}"
    [flow.orders.columns]
    id = { type = "integer" }
    _sync_at = "sync_at"
    lines = { type = "json" }
    total = "total"
    updated_at = { type = "timestamp" }
    "##);
    assert_right(&house, &flows);
    let lines = discover(&["--only", "lines"]).expect_code(0).stdout;
    for line in [
        "\nurl        = \"/orders/{{ var.order_id }}/lines\"\n",
        "\nvars       = { order_id = \"FILL_IN\" }    # fill in",
        "\npaging     = \"none\"    # not told",
        "\nkey        = [\"FILL_IN\"]    # not told",
    ] {
        assert!(lines.contains(line), "{lines}");
    }
    assert_right(&house, &lines);
    let list = discover(&["--list"]).expect_code(0).stdout;
    assert!(list.starts_with(" NAME    PATH"), "{list}");
    assert!(!list.contains("health"), "{list}");
    let list = discover(&["--json", "--list"]).expect_code(0).json();
    let paging = json!({"style": "page", "param": "page", "size": ["per_page", 250]});
    assert_eq!(list[0]["paging"], paging);
    let unknown = discover(&["--only", "orderz"]).expect_code(2);
    assert!(
        unknown.stderr.contains("no list `orderz`"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn nothing_is_written_over() {
    let house = house("https://shop.example/v1");
    house.write_private("openapi.json", SHOP);
    let (file, into) = (house.path("openapi.json"), house.path("flows.toml"));
    let words = [
        "discover",
        "shop",
        "--file",
        file.to_str().unwrap(),
        "--output",
        into.to_str().unwrap(),
    ];
    house.run(&words).expect_code(0);
    let before = std::fs::read_to_string(&into).unwrap();
    assert_right(&house, &before);
    house.write_private("flows.toml", "mine");
    let told = house.run(&words).expect_code(2).stderr;
    assert!(told.contains("nothing is written over"), "{told}");
    assert_eq!(std::fs::read_to_string(&into).unwrap(), "mine");
}

#[test]
fn the_credential_does_not_go_to_another_host() {
    let other = Scripted::start(|_| answer(200, &[], SHOP));
    let house = house("https://shop.example");
    let url = format!("{}/openapi.json", other.url);
    house.run(&["discover", "shop", &url]).expect_code(0);
    assert_eq!(other.asked()[0].header("authorization"), None);
}

#[test]
fn what_is_no_description_is_told_with_what_to_do() {
    let server = Scripted::start(|asked: &Asked| match asked.line.as_str() {
        "GET /page" => answer(
            200,
            &["content-type: text/html"],
            "<html><body>Hi</body></html>",
        ),
        _ => answer(404, &[], ""),
    });
    let house = house(&server.url);
    let told = house.run(&["discover", "shop", "/page"]).block(&house);
    assert_snapshot!(told, @r"
    exit 2
    --- stderr
    error: this is neither OData metadata nor an OpenAPI document in JSON: it begins `<html><body>Hi</body></html>`
    hint: say where the document is: tidegate discover CONNECTION URL, or --file FILE
    ");
    let told = house.run(&["discover", "shop"]).block(&house);
    assert_snapshot!(told, @r"
    exit 2
    --- stderr
    error: GET http://127.0.0.1:PORT/swagger.json answered 404
    hint: say where the document is: tidegate discover CONNECTION URL, or --file FILE
    ");
    let asked = server.asked();
    let asked: Vec<&str> = asked.iter().map(|asked| asked.line.as_str()).collect();
    let usual = [
        "GET /page",
        "GET /$metadata",
        "GET /openapi.json",
        "GET /swagger.json",
    ];
    assert_eq!(asked, usual);
}

#[test]
fn what_exact_online_says_of_itself_becomes_a_flow_whose_table_is_its_source() {
    let exact = Exact::with_flows(Settings::default(), "");
    exact.sign_in();
    let at = "/api/v1/123456/project/$metadata";
    let words = ["discover", "exact", at, "--only", "Projects"];
    let flows = exact.house.run(&words).expect_code(0).stdout;
    assert!(
        flows.contains("\nurl        = \"/api/v1/123456/project/Projects\"\n"),
        "{flows}"
    );
    assert!(
        flows.contains("filter = \"Modified ge datetime'{{ bookmark }}'\""),
        "{flows}"
    );
    assert_right(&exact.house, &flows);

    let connection = std::fs::read_to_string(exact.house.config()).unwrap();
    let whole = format!("{connection}\n{flows}");
    exact.house.write_private("tidegate.toml", &whole);
    exact
        .house
        .run_as_time_passes(&["--run-now"])
        .expect_code(0);
    let rows = exact
        .house
        .rows("SELECT ID FROM Projects WHERE ID IS NOT NULL");
    assert_eq!(rows.len(), exact.truth().len());
}
