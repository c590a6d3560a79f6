//! Exchanges with token endpoints, written down before they are sent.

mod words;

use std::io;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

pub(in crate::oauth) use words::{Kind, Outcome};

use super::data_keys::{self, Holder};
use super::{Error, Keys, Vault, states, unreadable};
use crate::config::{Account, Name};
use crate::oauth::rescue::{Cramped, Rescue};
use crate::oauth::standing::Standing;
use crate::seal::{self, DataKey, Place};
use crate::store::Tx;

/// How many closed attempts are kept for a person to look at.
const KEPT: u32 = 1_000;

/// What is about to be sent.
pub(in crate::oauth) struct Intent {
    pub account: Account,
    pub kind: Kind,
    /// The generation to be spent; a login and a client's own grant build on whatever is there.
    pub generation: Option<u64>,
    /// A digest of the refresh token to be spent.
    pub fingerprint: Option<[u8; seal::KEY]>,
    pub at: Timestamp,
    /// Until when it counts against a limit of the server, if there is one.
    pub counts_until: Option<Timestamp>,
}

/// An exchange that is written down.
#[derive(Clone)]
pub(in crate::oauth) struct Attempt {
    pub id: i64,
    pub account: Account,
    pub kind: Kind,
    /// The generation being spent.
    pub generation: u64,
    pub tries: u32,
    /// When the last try was about to be sent.
    pub tried_at: Timestamp,
    /// Since when what is spent may be gone.
    pub doubt_at: Option<Timestamp>,
    /// Seals the answer.
    pub key: DataKey,
}

impl Vault {
    /// Writes down what is about to be sent and reserves the disk its answer needs, durably.
    ///
    /// # Errors
    /// [`Error::Cramped`] if the disk is nearly full, [`Error::Conflict`] if the generation to be
    /// spent is no longer the present one; nothing is written down then.
    pub(in crate::oauth) async fn begin(&self, intent: Intent) -> Result<Attempt, Error> {
        if intent.kind.is_single_use() {
            self.check_room().await?;
        }
        let (keys, rescue) = (self.keys.clone(), self.rescue.clone());
        let attempt = self
            .store
            .write(move |tx| {
                let attempt = keys.begin(tx, intent)?;
                if attempt.kind.is_single_use() {
                    // Inside the transaction, so that neither is ever there without the other; a
                    // file whose commit failed is found at the next start and removed.
                    rescue
                        .reserve(attempt.id)
                        .map_err(|source| failed(&rescue, source))?;
                }
                Ok::<_, Error>(attempt)
            })
            .await?;
        self.mark(attempt.id).await;
        Ok(attempt)
    }

    /// Writes down that the same thing is about to be sent once more, although it may be spent.
    pub(in crate::oauth) async fn again(
        &self,
        attempt: &Attempt,
        at: Timestamp,
    ) -> Result<Attempt, Error> {
        let (rescue, mut attempt) = (self.rescue.clone(), attempt.clone());
        self.store
            .write(move |tx| {
                let written = tx
                    .prepare_cached(
                        "UPDATE refreshes
                         SET tries = tries + 1, tried_at = ?2, doubt_at = coalesce(doubt_at, ?2)
                         WHERE attempt = ?1 AND ended_at IS NULL",
                    )?
                    .execute(params![attempt.id, at.to_string()])?;
                if written != 1 || is_overtaken(tx, &attempt)? {
                    return Err(Error::Conflict {
                        account: attempt.account.clone(),
                    });
                }
                rescue
                    .reserve(attempt.id)
                    .map_err(|source| failed(&rescue, source))?;
                attempt.tries += 1;
                attempt.tried_at = at;
                attempt.doubt_at.get_or_insert(at);
                Ok(attempt)
            })
            .await
    }

    /// Writes down that what `attempt` spent may be gone. How the connection stands stays as it is
    /// if a newer credential has come meanwhile.
    pub(in crate::oauth) async fn doubt(
        &self,
        attempt: &Attempt,
        standing: Standing,
    ) -> Result<(), Error> {
        let attempt = attempt.clone();
        self.store
            .write(move |tx| {
                tx.prepare_cached(
                    "UPDATE refreshes SET doubt_at = coalesce(doubt_at, ?2), detail = ?3
                     WHERE attempt = ?1 AND ended_at IS NULL",
                )?
                .execute(params![
                    attempt.id,
                    standing.written_at.to_string(),
                    standing.detail
                ])?;
                match is_overtaken(tx, &attempt)? {
                    true => Ok(()),
                    false => states::write(tx, &attempt.account, &standing),
                }
            })
            .await
    }

    /// Closes `attempt`, which brought nothing, and gives its reserve back.
    ///
    /// The standing of the connection changes with it if there is one to write, and no newer
    /// credential has come meanwhile.
    pub(in crate::oauth) async fn close(
        &self,
        attempt: &Attempt,
        outcome: Outcome,
        detail: Option<String>,
        standing: Option<Standing>,
        at: Timestamp,
    ) -> Result<(), Error> {
        let closed = attempt.clone();
        self.store
            .write(move |tx| {
                end(tx, closed.id, outcome, detail.as_deref(), at)?;
                data_keys::drop_unused(tx, &closed.account)?;
                match standing {
                    Some(standing) if !is_overtaken(tx, &closed)? => {
                        states::write(tx, &closed.account, &standing)
                    }
                    Some(_) | None => Ok(()),
                }
            })
            .await?;
        self.discard(attempt.id).await
    }

    /// Returns when the token requests of `connection` were sent that count against a limit at `now`.
    pub(in crate::oauth) async fn counted(
        &self,
        connection: &Name,
        now: Timestamp,
    ) -> Result<Vec<Timestamp>, Error> {
        let connection = connection.clone();
        self.store
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT tried_at, tries FROM refreshes
                     WHERE connection = ?1 AND counts_until >= ?2 ORDER BY tried_at",
                )?;
                let mut rows = statement.query([connection.as_str(), &now.to_string()])?;
                let mut sent = Vec::new();
                while let Some(row) = rows.next()? {
                    let tried_at: String = row.get(0)?;
                    let tries: u32 = row.get(1)?;
                    let tried_at: Timestamp = tried_at
                        .parse()
                        .map_err(|_| unreadable(&Account::of(&connection), "attempt"))?;
                    // Earlier tries are taken to be as late as the last: rather too many count.
                    sent.extend((0..tries).map(|_| tried_at));
                }
                Ok(sent)
            })
            .await
    }

    /// Returns the attempts of `account` that no definite answer has closed, oldest first.
    pub(in crate::oauth) async fn left_open(
        &self,
        account: &Account,
    ) -> Result<Vec<Attempt>, Error> {
        let (keys, account) = (self.keys.clone(), account.clone());
        self.store
            .read(move |conn| keys.left_open(conn, &account))
            .await
    }

    /// Removes reserved files that no open attempt owns: the answer in them stands in the vault,
    /// or was never asked for. An answer that is newer than the vault is set aside.
    pub(in crate::oauth) async fn sweep(&self, now: Timestamp) -> Result<(), Error> {
        let listed = self.on_disk(move |rescue| rescue.list(now)).await?;
        let unowned = self
            .store
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT 1 FROM refreshes WHERE attempt = ?1 AND ended_at IS NULL",
                )?;
                let mut unowned = Vec::new();
                for attempt in listed {
                    if !statement.exists([attempt])? {
                        unowned.push(attempt);
                    }
                }
                Ok::<_, Error>(unowned)
            })
            .await?;
        for attempt in unowned {
            let is_newer = attempt > self.latest_found;
            self.on_disk(
                move |rescue| match is_newer && rescue.read(attempt)?.is_some() {
                    true => rescue.set_aside(attempt, now),
                    false => rescue.remove(attempt),
                },
            )
            .await?;
        }
        Ok(())
    }

    /// Seals an answer into the reserve of `attempt`, durably.
    pub(in crate::oauth) async fn keep_answer(
        &self,
        attempt: &Attempt,
        body: &[u8],
    ) -> Result<(), Error> {
        let place = self.keys.answer_place(attempt);
        let record = attempt.key.seal(&place, body).map_err(Error::Seal)?;
        let id = attempt.id;
        self.on_disk(move |rescue| rescue.keep(id, &record)).await
    }

    /// Returns the answer that was kept for `attempt`, if it is there and whole.
    pub(in crate::oauth) async fn kept_answer(
        &self,
        attempt: &Attempt,
    ) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, Error> {
        let id = attempt.id;
        let record = self.on_disk(move |rescue| rescue.read(id)).await?;
        let place = self.keys.answer_place(attempt);
        // A record that a power cut tore is no answer: the attempt stays in doubt.
        Ok(record.and_then(|record| attempt.key.unseal(&place, &record).ok()))
    }

    /// Puts an answer nobody could read where a later try does not overwrite it.
    pub(in crate::oauth) async fn set_aside(
        &self,
        attempt: &Attempt,
        at: Timestamp,
    ) -> Result<(), Error> {
        let id = attempt.id;
        self.on_disk(move |rescue| rescue.set_aside(id, at)).await
    }

    /// Gives the reserve of an attempt back.
    pub(in crate::oauth) async fn discard(&self, attempt: i64) -> Result<(), Error> {
        self.on_disk(move |rescue| rescue.remove(attempt)).await
    }

    /// The reserve would keep the answer alone, but what it brings must be stored soon after.
    async fn check_room(&self) -> Result<(), Error> {
        match self.on_disk(Rescue::cramped).await? {
            Some(Cramped { free, needed }) => Err(Error::Cramped {
                path: self.keys.path.clone(),
                free,
                needed,
            }),
            None => Ok(()),
        }
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Rescue) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let rescue = self.rescue.clone();
        let done = tokio::task::spawn_blocking(move || work(&rescue)).await;
        done.unwrap_or_else(|ended| Err(io::Error::other(ended)))
            .map_err(|source| failed(&self.rescue, source))
    }
}

impl Keys {
    fn begin(&self, tx: &Tx<'_>, intent: Intent) -> Result<Attempt, Error> {
        let account = &intent.account;
        let [connection, name] = account.row();
        let present: Option<(i64, u32)> = tx
            .prepare_cached(
                "SELECT generation, data_key FROM credentials WHERE connection = ?1 AND account = ?2",
            )?
            .query_row(account.row(), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let generation = match present {
            Some((generation, _)) => generation.cast_unsigned(),
            None => highest(tx, account)?,
        };
        if intent.generation.is_some_and(|spent| spent != generation) {
            return Err(Error::Conflict {
                account: account.clone(),
            });
        }
        let holder = Holder::Account(account);
        let key = match (present, intent.kind) {
            (Some((_, id)), Kind::Refresh) if data_keys::is_worn(tx, id, generation)? => {
                self.new_data_key(tx, holder, generation, intent.at)?
            }
            (Some((_, id)), Kind::Refresh) => self.data_key(tx, holder, id)?,
            (Some((_, id)), kind) if !kind.is_login() => {
                match self.data_key(tx, holder, id) {
                    // What cannot be opened is replaced: nothing is lost with it.
                    Err(Error::Unreadable { .. }) => {
                        self.new_data_key(tx, holder, generation, intent.at)?
                    }
                    key => key?,
                }
            }
            // A login starts with a key of its own, and so ends what older ones have sealed.
            (None, _) | (Some(_), _) => self.new_data_key(tx, holder, generation, intent.at)?,
        };
        tx.prepare_cached(
            "INSERT INTO refreshes (connection, account, kind, generation, data_key, fingerprint,
                 started_at, tries, tried_at, counts_until)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?7, ?8)",
        )?
        .execute(params![
            connection,
            name,
            intent.kind.as_str(),
            generation.cast_signed(),
            key.id(),
            intent.fingerprint,
            intent.at.to_string(),
            intent.counts_until.map(|at| at.to_string()),
        ])?;
        let id = tx.last_insert_rowid();
        tx.prepare_cached(
            "DELETE FROM refreshes WHERE ended_at IS NOT NULL AND attempt < ?1
               AND (counts_until IS NULL OR counts_until < ?2)",
        )?
        .execute(params![id - i64::from(KEPT), intent.at.to_string()])?;
        Ok(Attempt {
            id,
            account: intent.account,
            kind: intent.kind,
            generation,
            tries: 1,
            tried_at: intent.at,
            doubt_at: None,
            key,
        })
    }

    fn left_open(&self, conn: &Connection, account: &Account) -> Result<Vec<Attempt>, Error> {
        let damaged = || unreadable(account, "attempt");
        let mut statement = conn.prepare_cached(
            "SELECT attempt, kind, generation, data_key, tries, tried_at, doubt_at FROM refreshes
             WHERE connection = ?1 AND account = ?2 AND ended_at IS NULL ORDER BY attempt",
        )?;
        let mut rows = statement.query(account.row())?;
        let mut attempts = Vec::new();
        while let Some(row) = rows.next()? {
            let kind: String = row.get(1)?;
            let tried_at: String = row.get(5)?;
            let doubt_at: Option<String> = row.get(6)?;
            attempts.push(Attempt {
                id: row.get(0)?,
                account: account.clone(),
                kind: Kind::from_word(&kind).ok_or_else(damaged)?,
                generation: row.get::<_, i64>(2)?.cast_unsigned(),
                key: self.data_key(conn, Holder::Account(account), row.get(3)?)?,
                tries: row.get(4)?,
                tried_at: tried_at.parse().map_err(|_| damaged())?,
                doubt_at: doubt_at
                    .map(|at| at.parse())
                    .transpose()
                    .map_err(|_| damaged())?,
            });
        }
        Ok(attempts)
    }

    /// Where an answer belongs: the attempt's number stands where a credential's generation would,
    /// so that what a file held before is never taken for it.
    fn answer_place<'a>(&'a self, attempt: &'a Attempt) -> Place<'a> {
        let place = self.place(&attempt.account, "answer", attempt.id.cast_unsigned());
        Place {
            table: "rescue",
            ..place
        }
    }
}

/// Closes `attempt`, which brought the credential of `generation`, and what that ends: a login ends
/// everything that was open, but for the attempt `under_way`, whose answer may still come. What
/// comes of a refresh ends no login.
pub(super) fn close_committed(
    tx: &Tx<'_>,
    attempt: &Attempt,
    generation: u64,
    under_way: Option<i64>,
    at: Timestamp,
) -> Result<(), Error> {
    // A login follows what is there when it ends, not what was there when it began.
    tx.prepare_cached(
        "UPDATE refreshes SET ended_at = ?2, outcome = 'committed', generation = ?3 - 1
         WHERE attempt = ?1 AND ended_at IS NULL",
    )?
    .execute(params![
        attempt.id,
        at.to_string(),
        generation.cast_signed()
    ])?;
    let [connection, name] = attempt.account.row();
    tx.prepare_cached(
        "UPDATE refreshes SET ended_at = ?3, outcome = 'superseded'
         WHERE connection = ?1 AND account = ?2 AND ended_at IS NULL AND attempt IS NOT ?4
           AND (?5 OR kind NOT IN ('code', 'device', 'import'))",
    )?
    .execute(params![
        connection,
        name,
        at.to_string(),
        under_way,
        attempt.kind.is_login()
    ])?;
    Ok(())
}

/// Closes every open attempt of `account`, and returns them.
pub(super) fn supersede(tx: &Tx<'_>, account: &Account, at: Timestamp) -> Result<Vec<i64>, Error> {
    let mut statement = tx.prepare_cached(
        "UPDATE refreshes SET ended_at = ?2, outcome = 'superseded'
         WHERE connection = ?1 AND account = ?3 AND ended_at IS NULL RETURNING attempt",
    )?;
    let [connection, name] = account.row();
    let attempts =
        statement.query_map(params![connection, at.to_string(), name], |row| row.get(0))?;
    Ok(attempts.collect::<Result<_, _>>()?)
}

/// True if another credential is there than the one that `attempt` spends.
fn is_overtaken(conn: &Connection, attempt: &Attempt) -> Result<bool, Error> {
    let [connection, name] = attempt.account.row();
    let mut statement = conn.prepare_cached(
        "SELECT 1 FROM credentials WHERE connection = ?1 AND account = ?2 AND generation <> ?3",
    )?;
    Ok(statement.exists(params![connection, name, attempt.generation.cast_signed()])?)
}

pub(super) fn end(
    tx: &Tx<'_>,
    attempt: i64,
    outcome: Outcome,
    detail: Option<&str>,
    at: Timestamp,
) -> Result<(), Error> {
    tx.prepare_cached(
        "UPDATE refreshes SET ended_at = ?2, outcome = ?3, detail = ?4
         WHERE attempt = ?1 AND ended_at IS NULL",
    )?
    .execute(params![attempt, at.to_string(), outcome.as_str(), detail])?;
    Ok(())
}

/// Returns the number of the latest attempt; 0 before the first.
pub(super) fn latest(conn: &Connection) -> Result<i64, Error> {
    let mut statement =
        conn.prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'refreshes'")?;
    let latest = statement.query_row([], |row| row.get(0)).optional()?;
    Ok(latest.unwrap_or_default())
}

/// Lets the next attempt have a number above `attempt`.
pub(super) fn go_on_after(tx: &Tx<'_>, attempt: i64) -> Result<(), Error> {
    let moved = tx.execute(
        "UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'refreshes'",
        [attempt],
    )?;
    if moved == 0 {
        let sql = "INSERT INTO sqlite_sequence (name, seq) VALUES ('refreshes', ?1)";
        tx.execute(sql, [attempt])?;
    }
    Ok(())
}

/// Returns the highest generation `account` has had, as far as its attempts tell.
fn highest(tx: &Tx<'_>, account: &Account) -> Result<u64, Error> {
    let highest: i64 = tx
        .prepare_cached(
            "SELECT coalesce(max(generation + 1), 0) FROM refreshes
             WHERE connection = ?1 AND account = ?2 AND outcome = 'committed'",
        )?
        .query_row(account.row(), |row| row.get(0))?;
    Ok(highest.cast_unsigned())
}

fn failed(rescue: &Rescue, source: io::Error) -> Error {
    Error::Rescue {
        path: rescue.directory().to_owned(),
        source,
    }
}
