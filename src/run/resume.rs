//! Going on where a read was broken off.
//!
//! A source that leads from page to page by links or words can be asked for the next page by another
//! run too. What that run must know besides is how far the read may take the bookmark, which depends
//! on when it began and on what its first page had.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Error;
use super::reach::{Order, SoFar};
use crate::bookmark;
use crate::config::{Connection, Cursor, Flow};
use crate::fetch::{self, Position};
use crate::record::CursorValue;

/// A read that was broken off between two pages.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct BrokenOff {
    /// How to ask for the next page.
    pub(super) position: Position,
    /// What it was asked for.
    pub(super) asked: Asked,
    /// What its pages had.
    pub(super) so_far: SoFar,
}

impl BrokenOff {
    /// Returns the read as it is kept.
    pub(super) fn kept(&self, asks: String, at: Timestamp) -> bookmark::Position {
        bookmark::Position {
            asks,
            state: serde_json::to_string(self).expect("plain data has a JSON form"),
            kept_at: at,
        }
    }
}

/// What a read asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Asked {
    /// When it began.
    pub(super) began: Timestamp,
    /// From where on.
    pub(super) since: Option<CursorValue>,
    /// Up to where.
    pub(super) until: CursorValue,
}

impl Asked {
    /// Returns the order in which it comes.
    pub(super) fn order(&self, cursor: Option<&Cursor>) -> Order {
        match cursor {
            Some(cursor) if cursor.window.is_some() => Order::Window(self.until.clone()),
            Some(cursor) if cursor.newest_first => Order::NewestFirst(self.since.clone()),
            Some(_) | None => Order::Any,
        }
    }
}

/// Returns a digest of what a flow asks for and where it goes: after an edit of either, the rest of
/// a read would not fit its beginning.
pub(super) fn digest(flow: &Flow, connection: &Connection) -> String {
    let asks = format!(
        "{:?} {:?} {:?}",
        flow.resource, flow.table, connection.base_url
    );
    let digest = Sha256::digest(asks.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the status if a source says that it no longer knows the way it gave.
pub(super) fn refusal(error: &Error) -> Option<u16> {
    match error {
        Error::Fetch(fetch::Error::Refused {
            status: status @ (400 | 404 | 410),
            ..
        }) => Some(*status),
        _ => None,
    }
}
