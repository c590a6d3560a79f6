//! What authorization servers say of themselves: public, and kept so that neither a refresh nor a
//! repeated login waits for a document.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use url::Url;

use super::{Error, Vault};
use crate::config::{Issuer, Name};

impl Vault {
    /// Returns the document a connection uses of the server called `issuer`, and when it came.
    pub(in crate::oauth) async fn metadata(
        &self,
        connection: &Name,
        issuer: &Issuer,
    ) -> Result<Option<(String, Timestamp)>, Error> {
        let key = [connection.to_string(), issuer.as_str().to_owned()];
        let found: Option<(String, String)> = self
            .store
            .read(move |conn| {
                conn.prepare_cached(
                    "SELECT document, fetched_at FROM metadata
                     WHERE connection = ?1 AND issuer = ?2",
                )?
                .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
                .map_err(Error::from)
            })
            .await?;
        // A date that cannot be read makes the document an old one.
        Ok(found.map(|(document, at)| (document, at.parse().unwrap_or(Timestamp::MIN))))
    }

    /// Keeps the document a connection uses from now on.
    pub(in crate::oauth) async fn put_metadata(
        &self,
        connection: &Name,
        issuer: &Issuer,
        document: String,
        at: Timestamp,
    ) -> Result<(), Error> {
        let (connection, issuer) = (connection.to_string(), issuer.as_str().to_owned());
        self.store
            .write(move |tx| {
                tx.prepare_cached(
                    "INSERT OR REPLACE INTO metadata (connection, issuer, document, fetched_at)
                     VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![connection, issuer, document, at.to_string()])?;
                Ok(())
            })
            .await
    }

    /// Returns the key set that a connection's server had at `url`, and when it came.
    pub(in crate::oauth) async fn key_set(
        &self,
        connection: &Name,
        url: &Url,
    ) -> Result<Option<(String, Timestamp)>, Error> {
        let key = [connection.to_string(), url.to_string()];
        let found: Option<(String, String)> = self
            .store
            .read(move |conn| {
                conn.prepare_cached(
                    "SELECT document, fetched_at FROM key_sets
                     WHERE connection = ?1 AND url = ?2",
                )?
                .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
                .map_err(Error::from)
            })
            .await?;
        Ok(found.map(|(document, at)| (document, at.parse().unwrap_or(Timestamp::MIN))))
    }

    /// Keeps the key set of a connection's server.
    pub(in crate::oauth) async fn put_key_set(
        &self,
        connection: &Name,
        url: &Url,
        document: String,
        at: Timestamp,
    ) -> Result<(), Error> {
        let (connection, url) = (connection.to_string(), url.to_string());
        self.store
            .write(move |tx| {
                tx.prepare_cached(
                    "INSERT OR REPLACE INTO key_sets (connection, url, document, fetched_at)
                     VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![connection, url, document, at.to_string()])?;
                Ok(())
            })
            .await
    }
}
