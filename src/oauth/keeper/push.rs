//! Leaves the parameters of a login with the server before the browser goes there (RFC 9126).

use super::Inner;
use super::entry::Entry;
use super::sign_in::LIMITS;
use crate::config::OAuth;
use crate::oauth::Error;
use crate::oauth::grant::{Client, Fields};
use crate::oauth::login::{self, Opening, push};
use crate::secret::Redactor;

impl Inner {
    /// Makes the browser carry a reference to the login's parameters, if the server wants that.
    ///
    /// # Errors
    /// If the server does not take them.
    pub(super) async fn push(
        &self,
        entry: &Entry,
        oauth: &OAuth,
        opening: &mut Opening,
    ) -> Result<(), Error> {
        let Some(url) = opening.server().pushed_requests.clone() else {
            return Ok(());
        };
        let secrets = entry.secrets(oauth)?;
        let client = Client {
            oauth,
            server: opening.server(),
            secrets: &secrets,
        };
        let mut fields = Fields::default();
        for (name, value) in opening.parameters() {
            fields.put(name, value);
        }
        let answer = self.ask_for_login(entry, client, &url, fields).await?;
        let sent = Redactor::new(secrets.sent().cloned());
        opening.refer(push::read(&entry.account, &answer, &sent)?);
        Ok(())
    }

    /// Asks one of the server's endpoints for something that no token depends on yet.
    pub(super) async fn ask_for_login(
        &self,
        entry: &Entry,
        client: Client<'_>,
        url: &url::Url,
        fields: Fields,
    ) -> Result<crate::http::Answer, Error> {
        let account = || entry.account.clone();
        let failed = |detail: String| login::Error::ServerTrouble {
            account: account(),
            detail,
        };
        let request = client.post(url, fields, self.server_now(client.oauth));
        let request = request.map_err(|error| failed(error.to_string()))?;
        let identity = client.secrets.identity.as_ref();
        let answer = self.http.exchange(request, identity, LIMITS).await;
        Ok(answer.map_err(|error| failed(error.to_string()))?)
    }
}
