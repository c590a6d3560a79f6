//! Documents as sources write them, in small.

use tidegate::discover::{Paging, Problem, read};

/// Metadata as Exact Online writes it: version 2, declared as 1.0.
const EXACT: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx">
 <edmx:DataServices m:DataServiceVersion="1.0" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">
  <Schema Namespace="Exact.Web" xmlns="http://schemas.microsoft.com/ado/2006/04/edm">
   <EntityType Name="Base" Abstract="true"><Key><PropertyRef Name="ID"/></Key>
    <Property Name="ID" Type="Edm.Guid" Nullable="false"/></EntityType>
   <EntityType Name="Project" BaseType="Exact.Web.Base">
    <Property Name="Timestamp" Type="Edm.Int64"/>
    <Property Name="Modified" Type="Edm.DateTime"/>
    <Property Name="Price &amp; Tax" Type="Edm.Decimal"/>
    <Property Name="Code" Type="Edm.String"/>
    <Property Name="Picture" Type="Edm.Stream"/>
    <NavigationProperty Name="Lines" Relationship="a" FromRole="b" ToRole="c"/>
   </EntityType>
   <EntityContainer Name="Container" m:IsDefaultEntityContainer="true">
    <EntitySet Name="Projects" EntityType="Exact.Web.Project"/>
   </EntityContainer>
  </Schema></edmx:DataServices></edmx:Edmx>"#;

#[test]
fn version_2_metadata_tells_keys_types_and_what_may_tell_changes() {
    let document = read(EXACT).unwrap();
    assert_eq!(document.format, "OData 2.0");
    let [offer] = document.offers.as_slice() else {
        panic!("{document:?}")
    };
    assert_eq!(
        (offer.name.as_str(), offer.path.as_str()),
        ("Projects", "/Projects")
    );
    assert_eq!(offer.key, ["ID"]);
    let columns: Vec<String> = offer.columns.iter().map(ToString::to_string).collect();
    let expected = [
        "ID (guid)",
        "Timestamp (integer)",
        "Modified (timestamp)",
        "Price & Tax (decimal)",
        "Code",
    ];
    assert_eq!(columns, expected);
    let filters: Vec<&str> = offer
        .cursors
        .iter()
        .filter_map(|cursor| cursor.filter.as_deref())
        .collect();
    let expected = [
        "Timestamp ge {{ bookmark }}L",
        "Modified ge datetime'{{ bookmark }}'",
    ];
    assert_eq!(filters, expected);
    assert_eq!(offer.paging, Paging::Odata);
}

#[test]
fn version_4_metadata_may_call_a_namespace_by_a_short_name() {
    let metadata = r#"<edmx:Edmx Version="4.01" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>
      <Schema Namespace="Trips.Model" Alias="Self" xmlns="http://docs.oasis-open.org/odata/ns/edm">
       <EntityType Name="Person"><Key><PropertyRef Name="UserName"/></Key>
        <Property Name="UserName" Type="Edm.String" Nullable="false"/>
        <Property Name="Emails" Type="Collection(Edm.String)"/>
        <Property Name="LastModified" Type="Edm.DateTimeOffset"/>
        <Property Name="Gender" Type="Self.Gender"/></EntityType>
       <EntityContainer Name="C"><EntitySet Name="People" EntityType="Self.Person"/>
        <Singleton Name="Me" Type="Self.Person"/></EntityContainer>
      </Schema></edmx:DataServices></edmx:Edmx>"#;
    let document = read(metadata).unwrap();
    assert_eq!(document.format, "OData 4.01");
    assert_eq!(document.offers.len(), 1);
    let offer = &document.offers[0];
    assert_eq!(offer.key, ["UserName"]);
    assert_eq!(offer.columns[1].kind, Some("json"));
    let filter = offer.cursors[0].filter.as_deref();
    assert_eq!(filter, Some("LastModified ge {{ bookmark }}"));
}

#[test]
fn what_is_no_description_is_refused() {
    let bomb = r#"<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bb">]><edmx:Edmx Version="4.0">&b;</edmx:Edmx>"#;
    let circle = EXACT.replace("Abstract=\"true\"", "BaseType=\"Exact.Web.Project\"");
    assert!(read(&circle).is_ok(), "a circle of types ends");
    assert_eq!(read(bomb), Err(Problem::DocumentType));
    assert_eq!(read("openapi: 3.0.0\n"), Err(Problem::Yaml));
    let deep = "<a>".repeat(1_000);
    assert!(matches!(read(&deep), Err(Problem::TooDeep(_))));
    let cut = &EXACT[..EXACT.len() / 2];
    assert!(matches!(read(cut), Err(Problem::Xml(_))));
    assert!(matches!(
        read("<html><body/></html>"),
        Err(Problem::Unknown(_))
    ));
    assert!(matches!(read("{\"a\":1}"), Err(Problem::Unknown(_))));
    assert!(matches!(read("hello"), Err(Problem::Unknown(_))));
    let empty = r#"{"openapi":"3.1.0","paths":{}}"#;
    assert_eq!(
        read(empty),
        Err(Problem::Nothing("OpenAPI 3.1.0".to_owned()))
    );
}

#[test]
fn a_reference_to_itself_ends() {
    let document = r##"{"openapi":"3.0.0","paths":{"/a":{"get":{"responses":{"200":{"content":{
        "application/json":{"schema":{"$ref":"#/components/schemas/A"}}}}}}}},
        "components":{"schemas":{"A":{"$ref":"#/components/schemas/A"},
        "B":{"allOf":[{"$ref":"#/components/schemas/B"}]}}}}"##;
    assert!(matches!(read(document), Err(Problem::Nothing(_))));
}

/// How the pages follow, told by parameters, fields and headers.
#[test]
fn paging_is_what_the_document_tells() {
    let cases = [
        (r#"["page","per_page"]"#, "{}", "{}", "page"),
        (r#"["offset","limit"]"#, "{}", "{}", "offset"),
        (r#"["limit"]"#, r#"{"Link":{}}"#, "{}", "link_header"),
        (
            r#"["pageToken"]"#,
            "{}",
            r#"{"nextPageToken":{"type":"string"}}"#,
            "cursor",
        ),
        (
            r#"["page"]"#,
            "{}",
            r#"{"links":{"properties":{"next":{"type":["string","null"]}}}}"#,
            "next_url",
        ),
        (r#"["q"]"#, "{}", "{}", "not told"),
    ];
    for (parameters, headers, fields, word) in cases {
        let names: Vec<String> = serde_json::from_str(parameters).unwrap();
        let parameters: Vec<serde_json::Value> = names
            .iter()
            .map(|name| serde_json::json!({"name": name, "in": "query", "schema": {}}))
            .collect();
        let headers: serde_json::Value = serde_json::from_str(headers).unwrap();
        let mut properties: serde_json::Value = serde_json::from_str(fields).unwrap();
        properties["data"] = serde_json::json!({"type": "array", "items": {"properties": {"id": {"type": "integer"}}}});
        let document = serde_json::json!({"swagger": "2.0", "paths": {"/a": {"get": {
            "parameters": parameters,
            "responses": {"200": {"headers": headers, "schema": {"properties": properties}}},
        }}}});
        let read = read(&document.to_string()).unwrap();
        assert_eq!(read.offers[0].paging.word(), word);
        assert_eq!(read.offers[0].key, ["id"]);
        assert_eq!(read.offers[0].records.as_deref(), Some("$.data[*]"));
    }
}
