//! A login on another device: begun here, and waited for while somebody does.

use std::sync::Arc;

use super::entry::Entry;
use super::sign_in::refused_login;
use super::{Inner, Keeper};
use crate::config::Account;
use crate::oauth::Error;
use crate::oauth::grant::Client;
use crate::oauth::login::device::{self, DeviceStart, Waiting};
use crate::oauth::login::{self, LoginDone, Whom};
use crate::oauth::vault::Kind;
use crate::secret::Redactor;

impl Keeper {
    /// Begins a login on another device (RFC 8628): what the person does there, and what to wait
    /// with.
    ///
    /// An earlier login of the same account that is not waited for yet is dropped.
    ///
    /// # Errors
    /// If nobody signs in to this connection so, or its server does not begin a login.
    pub async fn begin_device_login(
        &self,
        account: &Account,
        whom: Whom,
    ) -> Result<DeviceStart, Error> {
        let inner = &self.inner;
        let entry = inner.accounts.admit(account, inner.clock.now())?;
        let oauth = entry.oauth().ok_or(login::Error::Broken)?;
        let there = inner.server_for_login(&entry, oauth).await?;
        let secrets = entry.secrets(oauth)?;
        let client = Client {
            oauth,
            server: &there.server,
            secrets: &secrets,
        };
        let url = device::endpoint(&there.server, account)?.clone();
        let answer = inner
            .ask_for_login(&entry, client, &url, device::fields(oauth))
            .await?;
        let sent = Redactor::new(secrets.sent().cloned());
        let now = inner.clock.now();
        let (start, waiting, found) = device::begin((account, whom), there, &answer, &sent, now)?;
        inner.believe(&entry, found).await;
        inner.devices().insert(account.clone(), waiting);
        Ok(start)
    }

    /// Waits until the person has signed in elsewhere. Whoever goes away before ends the login.
    ///
    /// # Errors
    /// Why the login did not work; the credential that was there stays.
    pub async fn device_login(&self, id: &str) -> Result<LoginDone, Error> {
        let mut waiting = self.take_device(id)?;
        let inner = &self.inner;
        let entry = inner.accounts.admit(&waiting.account, inner.clock.now())?;
        loop {
            let next_at = waiting.next_at(inner.clock.now())?;
            tokio::select! {
                () = inner.clock.sleep_until(next_at) => {}
                () = inner.stopping.cancelled() => {
                    let account = waiting.account.clone();
                    return Err(Error::Stopping { account });
                }
            }
            if let Some(done) = self.poll(&entry, &mut waiting).await? {
                return Ok(done);
            }
        }
    }

    /// Asks once whether the person has signed in. Once it is sent this ends by itself.
    async fn poll(
        &self,
        entry: &Arc<Entry>,
        waiting: &mut Waiting,
    ) -> Result<Option<LoginDone>, Error> {
        let (inner, polling) = (Arc::clone(&self.inner), waiting.clone());
        let polled = Arc::clone(entry);
        let exchange = self.inner.flights.spawn(async move {
            let asked = (Kind::Device, polling.ask());
            let redeemed = inner
                .redeem(&polled, polling.server(), asked, polling.check())
                .await;
            inner.landed.notify_one();
            redeemed
        });
        let redeemed = exchange.await.unwrap_or(Err(login::Error::Broken.into()));
        match redeemed? {
            Ok(done) => Ok(Some(done)),
            Err(ending) => match waiting.learn(&ending) {
                Ok(()) => Ok(None),
                Err(Some(error)) => Err(error.into()),
                Err(None) => Err(refused_login(entry.account.clone(), &ending).1.into()),
            },
        }
    }

    fn take_device(&self, id: &str) -> Result<Waiting, login::Error> {
        let mut devices = self.inner.devices();
        let found = devices.values().find(|waiting| waiting.is(id));
        let account = found.map(|waiting| waiting.account.clone());
        let taken = account.and_then(|account| devices.remove(&account));
        taken.ok_or(login::Error::NotPending)
    }
}

impl Inner {
    fn devices(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<Account, Waiting>> {
        self.devices
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
