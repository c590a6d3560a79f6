//! What is asked of the vault over the socket.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::config::Name;
use crate::daemon::House;
use crate::oauth::vault::{Rewrapped, Verified};
use crate::remedy::Remedy;
use crate::secret::Secret;

/// How a sealed secret is removed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Removal {
    /// Also if the configuration refers to it.
    pub(super) force: bool,
}

/// What an adoption did.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Adopted {
    /// How many accounts may refresh again.
    pub accounts: u64,
}

pub(super) fn routes() -> Router<House> {
    Router::new()
        .route("/v1/secrets/{name}", put(set_secret).delete(remove_secret))
        .route("/v1/vault/rewrap", post(rewrap))
        .route("/v1/vault/reseal", post(reseal))
        .route("/v1/vault/verify", post(verify))
        .route("/v1/vault/adopt", post(adopt))
        .route("/v1/vault/keys/{key}", delete(drop_key))
}

async fn rewrap(State(house): State<House>) -> Result<Json<Rewrapped>, Failure> {
    Ok(Json(house.keeper.rewrap().await?))
}

async fn reseal(State(house): State<House>) -> Result<Json<Rewrapped>, Failure> {
    Ok(Json(house.keeper.reseal().await?))
}

async fn verify(State(house): State<House>) -> Result<Json<Verified>, Failure> {
    Ok(Json(house.keeper.verify().await?))
}

async fn adopt(State(house): State<House>) -> Result<Json<Adopted>, Failure> {
    let accounts = house.keeper.adopt().await?;
    Ok(Json(Adopted { accounts }))
}

async fn drop_key(
    State(house): State<House>,
    Path(key): Path<String>,
) -> Result<StatusCode, Failure> {
    let key = key
        .parse()
        .map_err(|why| refused(format!("`{key}` is no key: {why}"), None))?;
    house.keeper.drop_key(key).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_secret(
    State(house): State<House>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let name = named(&name)?;
    let text = std::str::from_utf8(&body).unwrap_or_default();
    if text.is_empty() {
        return Err(refused("a secret is text, and not empty".to_owned(), None));
    }
    house.keeper.set_secret(&name, Secret::from(text)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_secret(
    State(house): State<House>,
    Path(name): Path<String>,
    Query(removal): Query<Removal>,
) -> Result<StatusCode, Failure> {
    let name = named(&name)?;
    if house.config.sealed.contains(&name) && !removal.force {
        let error = format!("the configuration refers to the sealed secret `{name}`");
        let hint = "take `{ vault = … }` out of it first and restart, or add `--force`";
        return Err(refused(error, Some(hint)));
    }
    if house.keeper.remove_secret(&name).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    let error = format!("the vault has no secret `{name}`");
    Err(refused(
        error,
        Some("`tidegate secret list` shows those it has"),
    ))
}

fn named(name: &str) -> Result<Name, Failure> {
    Name::parse(name).map_err(|why| refused(format!("`{name}` is no name: {why}"), None))
}

fn refused(error: String, hint: Option<&str>) -> Failure {
    Failure {
        error,
        remedy: Remedy::EditConfig,
        hint: hint.map(str::to_owned),
    }
}
