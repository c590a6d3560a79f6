//! The description of a service, as OData version 2 has it, made from the rows it holds.

use std::fmt::Write as _;

use super::cell::{Cell, Row};
use super::query::EntitySet;

/// Describes the set `name`, whose records are of the type `kind`.
pub(super) fn of(name: &str, kind: &str, set: &EntitySet, rows: &[&Row]) -> String {
    let (namespace, entity) = kind.rsplit_once('.').unwrap_or(("Exact", kind));
    let key = set.key;
    let mut properties = String::new();
    let mut links = String::new();
    let fields = rows.first().into_iter().flat_map(|row| row.fields());
    for (field, cell) in fields.filter(|(field, cell)| (set.shows)(field, cell)) {
        // A field that one record leaves empty has a value in another.
        let told = rows.iter().filter_map(|row| row.get(field));
        let told = told.map(edm).find(Option::is_some).flatten();
        let _ = match cell {
            Cell::Deferred => writeln!(
                links,
                r#"<NavigationProperty Name="{field}" Relationship="{namespace}.{entity}_{field}" FromRole="{entity}" ToRole="{field}"/>"#
            ),
            _ => writeln!(
                properties,
                r#"<Property Name="{field}" Type="{}" Nullable="{}"/>"#,
                told.unwrap_or("Edm.String"),
                field != key
            ),
        };
    }
    format!(
        r#"<?xml version="1.0" encoding="utf-8" standalone="yes"?>
<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx">
<edmx:DataServices m:DataServiceVersion="1.0" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">
<Schema Namespace="{namespace}" xmlns="http://schemas.microsoft.com/ado/2006/04/edm">
<EntityType Name="{entity}"><Key><PropertyRef Name="{key}"/></Key>
{properties}{links}</EntityType>
<EntityContainer Name="Container" m:IsDefaultEntityContainer="true">
<EntitySet Name="{name}" EntityType="{kind}"/>
</EntityContainer>
</Schema></edmx:DataServices></edmx:Edmx>
"#
    )
}

/// Returns the type of a value, if it has one.
fn edm(cell: &Cell) -> Option<&'static str> {
    match cell {
        Cell::Null | Cell::Deferred => None,
        Cell::Text(_) => Some("Edm.String"),
        Cell::Guid(_) => Some("Edm.Guid"),
        Cell::Int(_) => Some("Edm.Int32"),
        Cell::Long(_) => Some("Edm.Int64"),
        Cell::Double(_) => Some("Edm.Double"),
        Cell::Bool(_) => Some("Edm.Boolean"),
        Cell::Moment(_) => Some("Edm.DateTime"),
    }
}
