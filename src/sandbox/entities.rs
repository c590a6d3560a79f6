//! What the API has to read: entity sets, their rules, and single records.

use axum::http::StatusCode;

use super::api::Asked;
use super::cell::{Cell, Row};
use super::filter::read_literals;
use super::metadata;
use super::provider::Provider;
use super::query::{EntitySet, Query};
use super::reply::Reply;
use super::shape::Writer;
use super::world;

/// Who signed in.
const PERSON: &str = "Noor van der Sluis";
const PERSON_ID: &str = "6f0f7c1e-2a55-4d0a-9f37-5b1f0c2d9e11";

/// A part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Projects,
    SyncProjects,
    Deleted,
    Divisions,
}

/// What a path asks for: a list, or the record with a key.
#[derive(Debug)]
pub(super) struct Asks {
    endpoint: Endpoint,
    key: Option<Cell>,
}

impl Asks {
    /// Reads the path behind the division; `None` if nothing is there.
    pub(super) fn read(path: &[&str]) -> Option<Self> {
        let (last, before) = path.split_last()?;
        let (name, key) = match last.split_once('(') {
            None => (*last, None),
            Some((name, rest)) => {
                let key = read_literals(rest.strip_suffix(')')?).ok()?;
                (name, Some(key.into_iter().next()?))
            }
        };
        let endpoint = match (before, name) {
            (["project"], "Projects") => Endpoint::Projects,
            (["sync", "Project"], "Projects") => Endpoint::SyncProjects,
            (["sync"], "Deleted") => Endpoint::Deleted,
            (["system"], "Divisions") => Endpoint::Divisions,
            _ => return None,
        };
        Some(Self { endpoint, key })
    }

    /// Returns the name under which errors are counted.
    pub(super) fn name(&self) -> &'static str {
        self.endpoint.path()
    }
}

impl Endpoint {
    fn path(self) -> &'static str {
        match self {
            Self::Projects => "project/Projects",
            Self::SyncProjects => "sync/Project/Projects",
            Self::Deleted => "sync/Deleted",
            Self::Divisions => "system/Divisions",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Projects => "Exact.Web.Api.Models.Project.Project",
            Self::SyncProjects => "Exact.Web.Api.Models.Sync.Project.Project",
            Self::Deleted => "Exact.Web.Api.Models.Sync.Deleted",
            Self::Divisions => "Exact.Web.Api.System.Division",
        }
    }

    fn set(self, provider: &Provider) -> EntitySet {
        let (page, bulk_page) = (provider.settings.page, provider.settings.bulk_page);
        let everything = |_: &str, _: &Cell| true;
        match self {
            Self::Projects => EntitySet {
                key: "ID",
                page,
                selects: false,
                filters_only: None,
                shows: |name, _| name != "Timestamp",
            },
            Self::SyncProjects => EntitySet {
                key: "Timestamp",
                page: bulk_page,
                selects: true,
                filters_only: Some("Timestamp"),
                shows: |_, cell| *cell != Cell::Deferred,
            },
            Self::Deleted => EntitySet {
                key: "Timestamp",
                page: bulk_page,
                selects: false,
                filters_only: Some("Timestamp"),
                shows: everything,
            },
            Self::Divisions => EntitySet {
                key: "Code",
                page,
                selects: false,
                filters_only: None,
                shows: everything,
            },
        }
    }
}

impl Provider {
    /// Answers a request for a list or a record of a division.
    pub(super) fn read(&self, division: i32, asks: &Asks, asked: &Asked<'_>) -> Reply {
        let set = asks.endpoint.set(self);
        let query = match Query::read(asked.query, &set) {
            Ok(query) => query,
            Err(words) => return Reply::error(StatusCode::BAD_REQUEST, &words),
        };
        let rows = self.rows(division, asks.endpoint);
        if let Some(name) = rows.first().and_then(|row| query.unknown_field(row, &set)) {
            let words = format!("Could not find a property named '{name}'");
            return Reply::error(StatusCode::BAD_REQUEST, &words);
        }
        let uri = format!("{}/{division}/{}", asked.base, asks.endpoint.path());
        let writer = Writer {
            query: &query,
            set: &set,
            uri: &uri,
            kind: asks.endpoint.kind(),
        };
        match &asks.key {
            None if asked.wants_json => writer.list(&query.page(rows.into_iter(), &set)),
            None => writer.atom(&query.page(rows.into_iter(), &set)),
            Some(key) => {
                let found = rows.into_iter().find(|row| {
                    row.get(set.key)
                        .and_then(|cell| cell.compare(key))
                        .is_some_and(|o| o.is_eq())
                });
                match found {
                    Some(row) => writer.one(row),
                    None => Reply::error(StatusCode::NOT_FOUND, "Resource not found"),
                }
            }
        }
    }

    /// Describes the project service, as OData version 2 does.
    pub(super) fn metadata(&self, division: i32) -> Reply {
        let rows = self.rows(division, Endpoint::Projects);
        let set = Endpoint::Projects.set(self);
        Reply::of(
            StatusCode::OK,
            "application/xml; charset=utf-8",
            metadata::of("Projects", Endpoint::Projects.kind(), &set, &rows),
        )
    }

    /// Answers who signed in: the one call without a division, and without limits.
    pub(super) fn me(&self, asked: &Asked<'_>) -> Reply {
        let division = self.settings.divisions.first().copied().unwrap_or_default();
        let row = Row::new(vec![
            ("UserID", Cell::Guid(PERSON_ID.to_owned())),
            ("CurrentDivision", Cell::Int(division.into())),
            ("AccountingDivision", Cell::Int(division.into())),
            ("FullName", Cell::text(PERSON)),
            ("UserName", Cell::text("noor")),
            ("Email", Cell::text("noor@tidegate.example")),
            ("LanguageCode", Cell::text("nl-NL")),
            (
                "DivisionCustomerName",
                Cell::text(world::division_name(division)),
            ),
            ("ServerTime", Cell::text(self.wall_clock().to_string())),
        ]);
        let set = EntitySet {
            key: "UserID",
            page: 1,
            selects: false,
            filters_only: None,
            shows: |_, _| true,
        };
        let query = match Query::read(asked.query, &set) {
            Ok(query) => query,
            Err(words) => return Reply::error(StatusCode::BAD_REQUEST, &words),
        };
        let uri = format!("{}/current/Me", asked.base);
        let kind = "Exact.Web.Api.System.Me";
        let writer = Writer {
            query: &query,
            set: &set,
            uri: &uri,
            kind,
        };
        // Always a list of one, also where `$top=1` would make it an array.
        let mut page = query.page(std::iter::once(&row), &set);
        page.bare = false;
        if asked.wants_json {
            writer.list(&page)
        } else {
            writer.atom(&page)
        }
    }

    fn rows(&self, division: i32, endpoint: Endpoint) -> Vec<&Row> {
        let source = self.sources.get(&division);
        match (endpoint, source) {
            (Endpoint::Divisions, _) => self.divisions.iter().collect(),
            (_, None) => Vec::new(),
            (Endpoint::Projects | Endpoint::SyncProjects, Some(source)) => {
                source.projects().collect()
            }
            (Endpoint::Deleted, Some(source)) => source.deleted(self.now()).collect(),
        }
    }
}
