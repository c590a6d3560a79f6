//! Grants by which access is had without a person, as written.

use serde_json::Value;

use super::Grant;
use crate::config::places::Places;
use crate::config::reader::Table;
use crate::config::report::Problem;

/// Claims that are new in each assertion.
const OUR_CLAIMS: [&str; 3] = ["iat", "exp", "jti"];

/// Reads the password grant.
pub(super) fn password(table: &Table<'_>, places: &Places<'_>) -> Option<Grant> {
    let username = table.need("username", "the user's name at the provider");
    let password = table.need(
        "password",
        "{ env = … }, { file = … }, { credential = … } or { vault = … }",
    );
    let username = username.and_then(|item| item.text().map(str::to_owned));
    let password = password.and_then(|item| places.secret(&item));
    Some(Grant::Password {
        username: username?,
        password: password?,
    })
}

/// Reads the JWT-bearer grant.
pub(super) fn jwt_bearer(table: &Table<'_>) -> Option<Grant> {
    let expected = "what the assertion says: { iss = \"…\", sub = \"…\", aud = \"…\" }";
    let item = table.need("claims", expected)?;
    for claim in item.map()? {
        if OUR_CLAIMS.contains(&claim.key) {
            let message = format!("{}: `{}` is new in each assertion", claim.what, claim.key);
            let help = "remove it; `assertion_lifetime` says how long an assertion is good for";
            let problem = Problem::at(claim.key_at.clone(), message).help(help);
            claim.findings.add(problem);
        }
    }
    match item.json()? {
        Value::Object(claims) => Some(Grant::JwtBearer { claims }),
        _ => None,
    }
}
