//! What can be wrong with how a connection gets in.

use super::{CONNECTION, check, with};

#[test]
fn where_a_base_url_leads() {
    check(&[
        (
            with("base_url_domains = [\"a.example\"]", ""),
            "4:1",
            "`base_url_domains` is for a `base_url` that facts of a login make",
        ),
        (
            made_of_facts("base_url_domains = [\"https://a.example\"]\n"),
            "8:21",
            "is no domain",
        ),
        (
            made_of_facts("base_url_domains = [\"A.example\"]\n"),
            "8:21",
            "is written `a.example`",
        ),
        (
            "[connection.c]\nprovider = \"zoho\"\ntoken = { env = \"T\" }\n".to_owned(),
            "2:12",
            "`base_url` is made of what a token answer says, and none comes this way",
        ),
    ]);
}

fn made_of_facts(more: &str) -> String {
    format!(
        "[connection.c]\nbase_url = \"{{{{ fact.url }}}}\"\nfacts = [\"url\"]\n\
         authorize_url = \"https://a.example/a\"\ntoken_url = \"https://a.example/t\"\n\
         client_id = \"me\"\nredirect_uri = \"http://127.0.0.1:1/c\"\n{more}"
    )
}

#[test]
fn where_a_credential_stands() {
    let more = |line: &str| with(line, "");
    let instead = |line: &str| {
        let tokens = "token = { env = \"TOKEN\" }";
        with("", "").replace(tokens, line)
    };
    assert!(CONNECTION.contains("token = { env"));
    check(&[
        (
            more("basic = { username = \"u\" }"),
            "4:1",
            "`token` and `basic` cannot both be sent .. keep the one",
        ),
        (
            more("token_header = \"a b\""),
            "4:16",
            "`token_header` is no header name",
        ),
        (
            more("token_header = \"Host\""),
            "4:16",
            "every request has for another purpose",
        ),
        (
            more("headers = { x-api-key = \"1\" }\ntoken_header = \"X-Api-Key\""),
            "4:13",
            "`x-api-key` carries the token, and `headers` sets it too",
        ),
        (
            more("token_scheme = \"a b\""),
            "4:16",
            "not one word .. \"\" for none",
        ),
        (
            more("token_query = \"key\"\ntoken_header = \"X-Key\""),
            "5:1",
            "`token_header` is for headers, but `token_query` is said too",
        ),
        (
            instead("token_query = \"key\""),
            "3:1",
            "`token_query` says where a token stands, but this connection sends no token",
        ),
        (
            instead("basic = { username = \"u\" }\ntoken_scheme = \"x\""),
            "4:1",
            "`basic` stands in `Authorization` and nowhere else",
        ),
        (
            instead("basic = { password = { env = \"P\" } }"),
            "3:9",
            "has no `username`",
        ),
        (
            instead("basic = { username = \"a:b\" }"),
            "3:22",
            "holds a `:` .. the rest is the `password`",
        ),
        (
            instead("basic = { username = \"u\" }\nclient_id = \"me\""),
            "4:1",
            "`client_id` is for OAuth, but `basic` is sent instead",
        ),
        (
            instead(
                "provider = \"notion\"\nclient_id = \"me\"\nclient_secret = { env = \"S\" }\n\
                 redirect_uri = \"http://127.0.0.1:8765/callback\"\ntoken_query = \"access_token\"",
            ),
            "7:1",
            "an access token does not belong into a URL .. `token_header`",
        ),
    ]);
}

#[test]
fn sessions() {
    let session = |inside: &str| {
        let tokens = "token = { env = \"TOKEN\" }";
        with("", "").replace(tokens, &format!("session = {{ {inside} }}"))
    };
    check(&[
        (session("token = \"t\""), "3:11", "`session` has no `url`"),
        (session("url = \"/l\""), "3:11", "`session` has no `token`"),
        (
            session("url = \"/l?p={{ secret.p }}\", token = \"t\""),
            "3:19",
            "`url` is no template .. secrets never stand in URLs",
        ),
        (
            session("url = \"http://a.example/l\", token = \"t\""),
            "3:19",
            "unencrypted",
        ),
        (
            session("url = \"/l\", json = { p = \"{{ secret.p }}\" }, token = \"t\""),
            "3:42",
            "uses `secret.p`, which nothing sets .. secrets = { p = … }",
        ),
        (
            session("url = \"/l\", json = { p = \"{{ token }}\" }, token = \"t\""),
            "3:42",
            "uses `token`, which nothing sets",
        ),
        (
            session("url = \"/l\", json = {}, form = {}, token = \"t\""),
            "3:36",
            "`json` and `form` are two bodies",
        ),
        (
            session("url = \"/l\", method = \"GET\", json = {}, token = \"t\""),
            "3:25",
            "a GET has no body",
        ),
        (
            session("url = \"/l\", token = \"t\", token_cookie = \"c\""),
            "3:38",
            "`token` and `token_cookie` both say where the token stands",
        ),
        (
            session("url = \"/l\", token = \"t\", expires_in = \"e\", lifetime = \"1h\""),
            "3:56",
            "`expires_in` and `lifetime` both tell the end",
        ),
        (
            session("url = \"/l\", token = \"t\", unit = \"hours\""),
            "3:38",
            "`unit` is about a number in the answer, and none is read",
        ),
        (
            session("url = \"/l\", token = \"t\", secrets = { a-b = { env = \"E\" } }"),
            "3:50",
            "the name of a secret has no `-`",
        ),
        (
            with("session = { url = \"/l\", token = \"t\" }", ""),
            "4:1",
            "`token` and `session` cannot both be sent",
        ),
    ]);
}
