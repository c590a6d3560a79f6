//! The clothes of an answer: OData v2's JSON, and the Atom that comes to those who do not ask.

use axum::http::StatusCode;

use super::cell::{Cell, Row, write_quoted};
use super::query::{EntitySet, Page, Query};
use super::reply::Reply;

/// Writes records of one entity set.
pub(super) struct Writer<'a> {
    pub query: &'a Query,
    pub set: &'a EntitySet,
    /// The address of the entity set.
    pub uri: &'a str,
    /// The name of its records' type.
    pub kind: &'static str,
}

impl Writer<'_> {
    /// Writes a page: a bare array, or results with what belongs to them.
    pub(super) fn list(&self, page: &Page<'_>) -> Reply {
        let mut out = String::from(if page.bare {
            "{\"d\":["
        } else {
            "{\"d\":{\"results\":["
        });
        for (index, row) in page.rows.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            self.record(&mut out, row);
        }
        out.push(']');
        if self.query.counts {
            out.push_str(&format!(",\"__count\":\"{}\"", page.total));
        }
        if let Some(next) = &page.next {
            out.push_str(",\"__next\":");
            write_quoted(&mut out, &format!("{}?{next}", self.uri));
        }
        out.push_str(if page.bare { "}" } else { "}}" });
        Reply::json(StatusCode::OK, out)
    }

    /// Writes a single record.
    pub(super) fn one(&self, row: &Row) -> Reply {
        let mut out = String::from("{\"d\":");
        self.record(&mut out, row);
        out.push('}');
        Reply::json(StatusCode::OK, out)
    }

    /// Writes a page as Atom: enough to see that it is not JSON.
    pub(super) fn atom(&self, page: &Page<'_>) -> Reply {
        let entries: String = page
            .rows
            .iter()
            .map(|row| format!("<entry><id>{}</id></entry>", self.address(row)))
            .collect();
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
             <feed xmlns=\"http://www.w3.org/2005/Atom\"><id>{}</id>{entries}</feed>",
            self.uri
        );
        Reply::of(StatusCode::OK, "application/atom+xml; charset=utf-8", text)
    }

    fn record(&self, out: &mut String, row: &Row) {
        let uri = self.address(row);
        out.push_str("{\"__metadata\":{\"uri\":");
        write_quoted(out, &uri);
        out.push_str(",\"type\":");
        write_quoted(out, self.kind);
        out.push('}');
        for (name, cell) in self.query.fields(row, self.set) {
            out.push(',');
            write_quoted(out, name);
            out.push(':');
            cell.write_json(out, name, &uri);
        }
        out.push('}');
    }

    fn address(&self, row: &Row) -> String {
        let key = row.get(self.set.key).unwrap_or(&Cell::Null);
        format!("{}({})", self.uri, key.literal())
    }
}
