//! What a server means that sends a person back with an error (RFC 6749 section 4.1.2.1).

use super::Error;
use crate::config::Account;
use crate::oauth::grant::is_code;
use crate::secret::scrub;

/// How much of a server's words is shown.
const DESCRIPTION: usize = 200;
/// What servers say when an administrator must agree first, in their code or in their words.
/// The numbers are Microsoft's: no consent yet, and an administrator's consent needed.
const APPROVAL: [&str; 7] = [
    "aadsts65001",
    "aadsts90093",
    "aadsts90094",
    "admin_policy_enforced",
    "consent_required",
    "admin consent",
    "administrator",
];

/// Returns what the answer `code` means to whoever tried to sign in on `account`.
pub(super) fn refusal(account: &Account, code: &str, description: Option<&str>) -> Error {
    let words = match description {
        Some(description) => format!("{code}: {description}"),
        None => code.to_owned(),
    };
    // A code may be as long as a token; it is one of the server's own words.
    let description = description.map(|words| format!(": {}", scrub(words, DESCRIPTION)));
    let shown = match is_code(code) {
        true => code.to_owned(),
        false => scrub(code, DESCRIPTION),
    };
    let detail = shown + &description.unwrap_or_default();
    let account = account.clone();
    let lower = words.to_lowercase();
    if APPROVAL.iter().any(|words| lower.contains(words)) {
        return Error::NeedsApproval { account, detail };
    }
    let look_at = match code {
        "server_error" | "temporarily_unavailable" => {
            return Error::ServerTrouble { account, detail };
        }
        "invalid_scope" => "`scopes`",
        "invalid_target" => "`resource`",
        "unauthorized_client" | "invalid_client" => "`client_id`, and what the client may do,",
        "redirect_uri_mismatch" | "invalid_redirect_uri" => "`redirect_uri`",
        "login_required" | "interaction_required" | "account_selection_required" => {
            "`prompt` in `authorize_params`"
        }
        "invalid_request"
        | "unsupported_response_type"
        | "invalid_request_object"
        | "request_not_supported" => "`client_id`, `redirect_uri`, `scopes` and `authorize_params`",
        _ => return Error::Denied { account, detail },
    };
    Error::RequestRefused {
        account,
        detail,
        look_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Name;

    #[test]
    fn each_answer_has_its_own_next_step() {
        // code, description, what a person is told to do
        let cases = [
            ("access_denied", None, "to agree after all, type"),
            (
                "access_denied",
                Some("the resource owner said no"),
                "to agree after all, type",
            ),
            (
                "access_denied",
                Some("Contact your Administrator."),
                "ask an administrator",
            ),
            (
                "interaction_required",
                Some("AADSTS65001: not consented"),
                "ask an administrator",
            ),
            ("admin_policy_enforced", None, "ask an administrator"),
            ("consent_required", None, "ask an administrator"),
            (
                "login_required",
                None,
                "check `prompt` in `authorize_params`",
            ),
            (
                "invalid_scope",
                None,
                "check `scopes` of connection `exact`",
            ),
            ("unauthorized_client", None, "check `client_id`"),
            ("invalid_request", None, "check `client_id`, `redirect_uri`"),
            ("temporarily_unavailable", None, "later"),
            ("<script>", None, "to agree after all, type"),
        ];
        let account = Account::of(&Name::parse("exact").unwrap());
        for (code, description, next) in cases {
            let told = refusal(&account, code, description).hint().unwrap();
            assert!(told.contains(next), "{code}: {told}");
        }
    }
}
