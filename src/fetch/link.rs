//! The `Link` header (RFC 8288): which of its links is the next page.

use crate::http::HeaderMap;

/// Returns the target of the first link whose relation is `next`, as it was written.
pub(super) fn next(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all("link")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(next_in)
}

fn next_in(header: &str) -> Option<String> {
    let mut rest = header;
    loop {
        let start = rest.find('<')?;
        let end = start + rest[start..].find('>')?;
        let target = &rest[start + 1..end];
        let (params, after) = split_outside_quotes(&rest[end + 1..], ',');
        if is_next(params) {
            return Some(target.to_owned());
        }
        rest = after?;
    }
}

fn is_next(params: &str) -> bool {
    let mut rest = Some(params);
    let mut is_next = false;
    while let Some(some) = rest {
        let (param, after) = split_outside_quotes(some, ';');
        rest = after;
        let Some((name, value)) = param.split_once('=') else {
            continue;
        };
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            // A link with an anchor is about some other resource than this page.
            "anchor" => return false,
            "rel" => {
                is_next = value
                    .split_whitespace()
                    .any(|rel| rel.eq_ignore_ascii_case("next"))
            }
            _ => {}
        }
    }
    is_next
}

pub(super) fn split_outside_quotes(text: &str, at: char) -> (&str, Option<&str>) {
    let mut is_quoted = false;
    for (index, letter) in text.char_indices() {
        if letter == '"' {
            is_quoted = !is_quoted;
        } else if letter == at && !is_quoted {
            return (&text[..index], Some(&text[index + letter.len_utf8()..]));
        }
    }
    (text, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_is_found_among_others() {
        let cases = [
            (
                r#"<https://x/a?page=2>; rel="next", <https://x/a?page=9>; rel="last""#,
                Some("https://x/a?page=2"),
            ),
            (
                r#"<https://x/1>; rel="prev", </a?p=a,b;c>; title="x, \"y\""; rel=next"#,
                Some("/a?p=a,b;c"),
            ),
            (r#"<https://x/2>; REL="last Next""#, Some("https://x/2")),
            (r#"<https://x/2>; rel="nextish""#, None),
            (r#"<https://x/2>; rel="next"; anchor="/other""#, None),
            (r#"<https://x/2>; title="rel=next""#, None),
            ("<https://x/2", None),
            ("", None),
        ];
        for (header, target) in cases {
            let mut headers = HeaderMap::new();
            headers.append("link", header.parse().unwrap());
            assert_eq!(next(&headers).as_deref(), target, "{header}");
        }
        let mut headers = HeaderMap::new();
        headers.append("link", r#"</first>; rel="first""#.parse().unwrap());
        headers.append("link", r#"</next>; rel="next""#.parse().unwrap());
        assert_eq!(next(&headers).as_deref(), Some("/next"));
    }
}
