//! What each provider wants and answers, said apart from the catalogue: an entry that changes its
//! meaning changes it here too, or the test fails.

/// How one provider behaves.
pub(crate) struct Play {
    pub(crate) name: &'static str,
    /// HTTP Basic rather than the secret in the body.
    pub(crate) basic: bool,
    /// JSON rather than a form.
    pub(crate) json: bool,
    pub(crate) pkce: bool,
    /// What stands between scopes.
    pub(crate) separator: &'static str,
    /// Where tokens are refreshed.
    pub(crate) refresh: &'static str,
    /// What the server calls itself, if the identity of people is checked.
    pub(crate) issuer: Option<&'static str>,
    /// Whether its API wants the client's certificate.
    pub(crate) certificate: bool,
    /// What the redirect says beside the code.
    pub(crate) redirect: &'static str,
    /// The base URL that the sign-in makes known, if it is not known before.
    pub(crate) base: Option<&'static str>,
    /// Parameters of the sign-in besides the standard's.
    pub(crate) authorize: &'static [(&'static str, &'static str)],
    /// Parameters of every token request besides the standard's.
    pub(crate) token: &'static [(&'static str, &'static str)],
    /// What the code is answered with, and every refresh.
    pub(crate) answers: [(u16, &'static str); 2],
    /// The life of the first access token, in seconds, if it has an end.
    pub(crate) life: Option<i64>,
    pub(crate) then: Then,
}

/// What the answers come to.
pub(crate) enum Then {
    /// Each refresh gives the next refresh token.
    Rotates,
    /// The refresh token stays.
    Keeps,
    /// The refresh token stays, and the answer to a refresh says nothing of any life: the access token
    /// is used until it is refused.
    KeepsInSilence,
    /// There is nothing to refresh.
    Lasts,
    /// The refresh is refused, and a person must sign in.
    Ends,
}

const FIRST: &str =
    r#"{"access_token":"a1","token_type":"Bearer","expires_in":3600,"refresh_token":"r1"}"#;
const ROTATED: &str =
    r#"{"access_token":"a2","token_type":"Bearer","expires_in":3600,"refresh_token":"r2"}"#;
const KEPT: &str = r#"{"access_token":"a2","token_type":"Bearer","expires_in":3600}"#;

/// A provider that follows the standard in everything.
const PLAIN: Play = Play {
    name: "",
    basic: false,
    json: false,
    pkce: true,
    separator: " ",
    refresh: "/token",
    issuer: None,
    certificate: false,
    redirect: "",
    base: None,
    authorize: &[],
    token: &[],
    answers: [(200, FIRST), (200, ROTATED)],
    life: Some(3_600),
    then: Then::Rotates,
};
/// One whose refresh tokens stay.
const STEADY: Play = Play {
    answers: [(200, FIRST), (200, KEPT)],
    then: Then::Keeps,
    ..PLAIN
};

pub(crate) const PROVIDERS: [Play; 36] = [
    Play {
        name: "adobe-ims",
        separator: ",",
        ..PLAIN
    },
    Play {
        name: "adobe-sign",
        refresh: "/refresh",
        redirect: "&api_access_point=https%3A%2F%2Fapi.eu2.adobesign.com%2F",
        base: Some("https://api.eu1.adobesign.com/"),
        pkce: false,
        answers: [
            (
                200,
                r#"{"api_access_point":"https://api.eu1.adobesign.com/","access_token":"a1","refresh_token":"r1","token_type":"Bearer","expires_in":3600}"#,
            ),
            (200, KEPT),
        ],
        ..STEADY
    },
    Play {
        name: "asana",
        answers: [
            (
                200,
                r#"{"access_token":"a1","token_type":"bearer","expires_in":3600,"data":{"id":1,"gid":"1","name":"N","email":"n@example.com"},"refresh_token":"r1"}"#,
            ),
            (200, KEPT),
        ],
        ..STEADY
    },
    Play {
        name: "atlassian",
        pkce: false,
        authorize: &[("audience", "api.atlassian.com"), ("prompt", "consent")],
        ..PLAIN
    },
    Play {
        name: "box",
        pkce: false,
        answers: [
            (
                200,
                r#"{"access_token":"a1","expires_in":3600,"restricted_to":[],"token_type":"bearer","refresh_token":"r1"}"#,
            ),
            (200, ROTATED),
        ],
        ..PLAIN
    },
    Play {
        name: "dropbox",
        authorize: &[("token_access_type", "offline")],
        answers: [
            (
                200,
                r#"{"access_token":"a1","token_type":"bearer","expires_in":14400,"refresh_token":"r1","uid":"1","account_id":"dbid:1"}"#,
            ),
            (200, KEPT),
        ],
        life: Some(14_400),
        ..STEADY
    },
    Play {
        name: "exact-online",
        pkce: false,
        answers: [
            (
                200,
                r#"{"access_token":"a1","token_type":"bearer","expires_in":"600","refresh_token":"r1"}"#,
            ),
            (
                401,
                r#"{"error":"unauthorized_client","error_description":"Old refresh token used."}"#,
            ),
        ],
        life: Some(600),
        then: Then::Ends,
        ..PLAIN
    },
    Play {
        name: "fitbit",
        basic: true,
        answers: [
            (
                200,
                r#"{"access_token":"a1","expires_in":28800,"refresh_token":"r1","scope":"activity","token_type":"Bearer","user_id":"X"}"#,
            ),
            (200, ROTATED),
        ],
        life: Some(28_800),
        ..PLAIN
    },
    Play {
        name: "github",
        answers: [
            (
                200,
                r#"{"access_token":"a1","expires_in":"28800","refresh_token":"r1","refresh_token_expires_in":"15897600","scope":"","token_type":"bearer"}"#,
            ),
            (
                200,
                r#"{"error":"bad_refresh_token","error_description":"The refresh token passed is incorrect or expired."}"#,
            ),
        ],
        life: Some(28_800),
        then: Then::Ends,
        ..PLAIN
    },
    Play {
        name: "gitlab",
        issuer: Some("https://{host}"),
        answers: [
            (
                200,
                r#"{"access_token":"a1","token_type":"Bearer","expires_in":7200,"refresh_token":"r1","scope":"read_api","created_at":1767600000}"#,
            ),
            (200, ROTATED),
        ],
        life: Some(7_200),
        ..PLAIN
    },
    Play {
        name: "google",
        issuer: Some("https://accounts.google.com"),
        authorize: &[("access_type", "offline"), ("prompt", "consent")],
        answers: [
            (
                200,
                r#"{"access_token":"a1","expires_in":3599,"refresh_token":"r1","scope":"one two","token_type":"Bearer","id_token":"h.p.s"}"#,
            ),
            (200, KEPT),
        ],
        life: Some(3_599),
        ..STEADY
    },
    Play {
        name: "hubspot",
        pkce: false,
        answers: [
            (
                200,
                r#"{"token_type":"bearer","refresh_token":"r1","access_token":"a1","expires_in":1800}"#,
            ),
            (
                200,
                r#"{"token_type":"bearer","refresh_token":"r1","access_token":"a2","expires_in":1800}"#,
            ),
        ],
        life: Some(1_800),
        ..STEADY
    },
    Play {
        name: "linear",
        separator: ",",
        answers: [
            (
                200,
                r#"{"access_token":"a1","token_type":"Bearer","expires_in":86399,"scope":["read"],"refresh_token":"r1"}"#,
            ),
            (200, ROTATED),
        ],
        life: Some(86_399),
        ..PLAIN
    },
    // Without addresses of its own, the entry asks as the standard says.
    Play {
        name: "mendix",
        basic: true,
        ..PLAIN
    },
    Play {
        name: "microsoft",
        answers: [
            (
                200,
                r#"{"token_type":"Bearer","scope":"one two","expires_in":4021,"ext_expires_in":4021,"access_token":"a1","refresh_token":"r1"}"#,
            ),
            (200, ROTATED),
        ],
        life: Some(4_021),
        ..PLAIN
    },
    Play {
        name: "moneybird",
        pkce: false,
        answers: [
            (
                200,
                r#"{"access_token":"a1","token_type":"Bearer","refresh_token":"r1","scope":"one two","created_at":1767600000}"#,
            ),
            (
                200,
                r#"{"access_token":"a2","token_type":"Bearer","refresh_token":"r1","scope":"one two","created_at":1767603600}"#,
            ),
        ],
        ..STEADY
    },
    Play {
        name: "mulesoft-anypoint",
        json: true,
        pkce: false,
        authorize: &[("nonce", "tidegate")],
        ..PLAIN
    },
    Play {
        name: "netsuite",
        basic: true,
        authorize: &[("prompt", "consent")],
        answers: [
            (
                200,
                r#"{"access_token":"a1","refresh_token":"r1","expires_in":"3600","token_type":"bearer"}"#,
            ),
            (200, KEPT),
        ],
        ..STEADY
    },
    Play {
        name: "notion",
        basic: true,
        json: true,
        pkce: false,
        authorize: &[("owner", "user")],
        answers: [
            (
                200,
                r#"{"access_token":"a1","token_type":"bearer","refresh_token":null,"bot_id":"b","workspace_id":"w"}"#,
            ),
            (500, ""),
        ],
        life: None,
        then: Then::Lasts,
        ..PLAIN
    },
    Play {
        name: "oracle-idcs",
        basic: true,
        ..PLAIN
    },
    Play {
        name: "quickbooks",
        redirect: "&realmId=4620816365",
        base: Some("https://quickbooks.api.intuit.com/v3/company/4620816365"),
        basic: true,
        pkce: false,
        answers: [
            (
                200,
                r#"{"token_type":"bearer","expires_in":3600,"refresh_token":"r1","x_refresh_token_expires_in":8726400,"access_token":"a1"}"#,
            ),
            (200, ROTATED),
        ],
        ..PLAIN
    },
    Play {
        name: "rabobank",
        certificate: true,
        basic: true,
        pkce: false,
        answers: [
            (
                200,
                r#"{"token_type":"Bearer","access_token":"a1","expires_in":3600,"consented_on":1767600000,"scope":"one","refresh_token":"r1","refresh_token_expires_in":15552000,"metadata":"m:1"}"#,
            ),
            (200, ROTATED),
        ],
        ..PLAIN
    },
    Play {
        name: "salesforce",
        base: Some("https://acme.my.salesforce.com/"),
        answers: [
            (
                200,
                r#"{"access_token":"a1","refresh_token":"r1","signature":"s","scope":"api refresh_token","instance_url":"https://acme.my.salesforce.com","id":"https://login.salesforce.com/id/1/2","token_type":"Bearer","issued_at":"1767600000000"}"#,
            ),
            (
                200,
                r#"{"access_token":"a2","signature":"s","instance_url":"https://acme.my.salesforce.com","token_type":"Bearer","issued_at":"1767603600000"}"#,
            ),
        ],
        then: Then::KeepsInSilence,
        ..STEADY
    },
    Play {
        name: "shopify",
        pkce: false,
        separator: ",",
        token: &[("expiring", "1")],
        answers: [
            (
                200,
                r#"{"access_token":"a1","scope":"read_products","expires_in":3600,"refresh_token":"r1","refresh_token_expires_in":7776000}"#,
            ),
            (
                200,
                r#"{"access_token":"a2","scope":"read_products","expires_in":3600,"refresh_token":"r2","refresh_token_expires_in":7776000}"#,
            ),
        ],
        ..PLAIN
    },
    Play {
        name: "slack",
        pkce: false,
        separator: ",",
        answers: [
            (
                200,
                r#"{"ok":true,"access_token":"a1","token_type":"bot","scope":"one,two","bot_user_id":"U","expires_in":43200,"refresh_token":"r1","authed_user":{"id":"U"}}"#,
            ),
            (
                200,
                r#"{"ok":true,"access_token":"a2","token_type":"bot","scope":"one,two","expires_in":43200,"refresh_token":"r2"}"#,
            ),
        ],
        life: Some(43_200),
        ..PLAIN
    },
    Play {
        name: "spotify",
        basic: true,
        ..STEADY
    },
    Play {
        name: "strava",
        pkce: false,
        separator: ",",
        authorize: &[("approval_prompt", "auto")],
        answers: [
            (
                200,
                r#"{"token_type":"Bearer","expires_at":1767621600,"expires_in":21600,"refresh_token":"r1","access_token":"a1","athlete":{"id":1}}"#,
            ),
            (200, ROTATED),
        ],
        life: Some(21_600),
        ..PLAIN
    },
    Play {
        name: "stripe",
        pkce: false,
        answers: [
            (
                200,
                r#"{"access_token":"a1","livemode":false,"refresh_token":"r1","token_type":"bearer","stripe_user_id":"acct_1","scope":"read_only"}"#,
            ),
            (
                200,
                r#"{"access_token":"a2","livemode":false,"refresh_token":"r1","token_type":"bearer","stripe_user_id":"acct_1","scope":"read_only"}"#,
            ),
        ],
        life: Some(365 * 86_400),
        ..STEADY
    },
    Play {
        name: "twinfield",
        issuer: Some("https://login.twinfield.com/auth/authentication"),
        basic: true,
        pkce: false,
        authorize: &[("nonce", "tidegate")],
        answers: [
            (
                200,
                r#"{"id_token":"h.p.s","access_token":"a1","expires_in":3600,"token_type":"Bearer","refresh_token":"r1"}"#,
            ),
            (200, KEPT),
        ],
        ..STEADY
    },
    Play {
        name: "typeform",
        pkce: false,
        answers: [
            (
                200,
                r#"{"access_token":"a1","token_type":"bearer","refresh_token":"r1"}"#,
            ),
            (
                200,
                r#"{"access_token":"a2","token_type":"bearer","refresh_token":"r2"}"#,
            ),
        ],
        life: Some(7 * 86_400),
        ..PLAIN
    },
    Play {
        name: "visma-connect",
        issuer: Some("https://connect.visma.com"),
        ..PLAIN
    },
    Play {
        name: "visma-eaccounting",
        ..PLAIN
    },
    Play {
        name: "x",
        basic: true,
        answers: [
            (
                200,
                r#"{"token_type":"bearer","expires_in":7200,"access_token":"a1","scope":"one two","refresh_token":"r1"}"#,
            ),
            (200, ROTATED),
        ],
        life: Some(7_200),
        ..PLAIN
    },
    Play {
        name: "xero",
        issuer: Some("https://identity.xero.com"),
        basic: true,
        answers: [
            (
                200,
                r#"{"access_token":"a1","expires_in":1800,"token_type":"Bearer","refresh_token":"r1","scope":"one two"}"#,
            ),
            (200, ROTATED),
        ],
        life: Some(1_800),
        ..PLAIN
    },
    Play {
        name: "zendesk",
        token: &[
            ("expires_in", "1800"),
            ("refresh_token_expires_in", "2592000"),
        ],
        answers: [
            (
                200,
                r#"{"access_token":"a1","refresh_token":"r1","token_type":"bearer","scope":"read","expires_in":1800,"refresh_token_expires_in":2592000}"#,
            ),
            (200, ROTATED),
        ],
        life: Some(1_800),
        ..PLAIN
    },
    Play {
        name: "zoho",
        base: Some("https://www.zohoapis.com/"),
        pkce: false,
        separator: ",",
        authorize: &[("access_type", "offline"), ("prompt", "consent")],
        answers: [
            (
                200,
                r#"{"access_token":"a1","refresh_token":"r1","api_domain":"https://www.zohoapis.com","token_type":"Bearer","expires_in":3600}"#,
            ),
            (200, r#"{"error":"invalid_code"}"#),
        ],
        then: Then::Ends,
        ..PLAIN
    },
];
