//! What is known of the calls a source still allows, across restarts.
//!
//! A new owner of the state directory would otherwise learn by a refusal that the day's calls are
//! spent, and some sources block a client for that.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::config::Name;
use crate::store::{Error, Tx, instant};

/// Returns what was last known of a connection's calls for a tenant, as it was given to [`keep`].
///
/// # Errors
/// If the database cannot be read.
pub fn known(conn: &Connection, connection: &Name, tenant: &str) -> Result<Option<String>, Error> {
    let known = conn
        .prepare_cached("SELECT known FROM _tidegate_limits WHERE connection = ?1 AND tenant = ?2")?
        .query_one([connection.as_str(), tenant], |row| row.get(0))
        .optional()?;
    Ok(known)
}

/// Keeps what is known of a connection's calls for a tenant; `known` is JSON.
///
/// # Errors
/// If the database cannot be written.
pub fn keep(
    tx: &Tx<'_>,
    connection: &Name,
    tenant: &str,
    known: &str,
    at: Timestamp,
) -> Result<(), Error> {
    tx.prepare_cached(
        "INSERT INTO _tidegate_limits (connection, tenant, known, updated_at) \
         VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (connection, tenant) DO UPDATE SET known = excluded.known, \
           updated_at = excluded.updated_at",
    )?
    .execute(params![connection.as_str(), tenant, known, instant(at)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{self, Store};

    #[tokio::test]
    async fn each_tenant_of_a_connection_has_calls_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("data.db"), &store::DATA).unwrap();
        let found: Result<_, Error> = store
            .write(|tx| {
                let exact = Name::parse("exact").unwrap();
                for (tenant, known) in [("", "{}"), ("123", "{\"a\":1}"), ("123", "{\"a\":2}")] {
                    keep(tx, &exact, tenant, known, Timestamp::UNIX_EPOCH)?;
                }
                Ok(["", "123", "456"].map(|tenant| known(tx, &exact, tenant).unwrap()))
            })
            .await;
        let there = |known: &str| Some(known.to_owned());
        assert_eq!(found.unwrap(), [there("{}"), there("{\"a\":2}"), None]);
    }
}
