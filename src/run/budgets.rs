//! The limits of every connection and tenant: shared by all runs, and kept across restarts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tracing::warn;

use crate::config::{Connection, Name};
use crate::fetch::{Limits, Windows};
use crate::quota;
use crate::store::{self, Store, Tx};

/// The limits known so far.
#[derive(Debug, Default)]
pub(super) struct Budgets(Mutex<HashMap<(Name, String), Arc<Budget>>>);

/// The limits of one connection and tenant.
#[derive(Debug)]
pub(super) struct Budget {
    connection: Name,
    tenant: String,
    pub(super) limits: Limits,
    /// What the database has of them.
    kept: Mutex<Option<Windows>>,
}

/// What is to be written of a budget.
pub(super) struct News {
    connection: Name,
    tenant: String,
    known: String,
}

impl Budgets {
    /// Returns the limits that `connection` has for `tenant`, with what is remembered of them.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub(super) async fn of(
        &self,
        data: &Store,
        connection: &Connection,
        tenant: &str,
    ) -> Result<Arc<Budget>, store::Error> {
        let key = (connection.name.clone(), tenant.to_owned());
        if let Some(budget) = self.known().get(&key) {
            return Ok(Arc::clone(budget));
        }
        let (name, whose) = key.clone();
        let kept = data
            .read(move |conn| quota::known(conn, &name, &whose))
            .await?;
        let budget = Budget::new(connection, tenant, kept.as_deref());
        // Another run may have been as quick; all must share one.
        let mut known = self.known();
        Ok(Arc::clone(known.entry(key).or_insert(Arc::new(budget))))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(Name, String), Arc<Budget>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    fn new(connection: &Connection, tenant: &str, kept: Option<&str>) -> Self {
        let limits = Limits::new(&connection.manners);
        let kept = kept.and_then(|kept| {
            let windows = serde_json::from_str::<Windows>(kept);
            if let Err(error) = &windows {
                warn!(connection = %connection.name, tenant, %error,
                    "what was remembered of the source's limits is of another version, and is not used");
            }
            windows.ok()
        });
        if let Some(windows) = &kept {
            limits.restore(windows.clone());
        }
        Self {
            connection: connection.name.clone(),
            tenant: tenant.to_owned(),
            limits,
            kept: Mutex::new(kept),
        }
    }

    /// Returns what has changed since it was last asked for, if anything has.
    pub(super) fn news(&self) -> Option<News> {
        let windows = self.limits.snapshot();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref() == Some(&windows) {
            return None;
        }
        let known = serde_json::to_string(&windows).ok()?;
        *kept = Some(windows);
        Some(News {
            connection: self.connection.clone(),
            tenant: self.tenant.clone(),
            known,
        })
    }
}

impl News {
    /// Writes it down. If the transaction fails, the next call makes news again.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub(super) fn keep(&self, tx: &Tx<'_>, at: Timestamp) -> Result<(), store::Error> {
        quota::keep(tx, &self.connection, &self.tenant, &self.known, at)
    }
}
