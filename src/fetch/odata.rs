//! OData as it is spelled: where its envelopes keep things, and how filters are joined.

/// Where a next link stands: version 2, version 3, version 4, and 4.01 which may drop the prefix.
pub(super) const NEXT_LINKS: [&[&str]; 4] = [
    &["d", "__next"],
    &["odata.nextLink"],
    &["@odata.nextLink"],
    &["@nextLink"],
];

/// Annotations that only an answer of versions 3 and 4 carries, also one of a single entity.
pub(super) const ENTITY_ANNOTATIONS: [&str; 3] = ["odata.metadata", "@odata.context", "@context"];

/// The query option that holds the filter.
pub(super) const FILTER: &str = "$filter";

/// Joins two filters so that both must hold.
pub(super) fn and(filter: &str, more: &str) -> String {
    match (filter.trim(), more.trim()) {
        ("", only) | (only, "") => only.to_owned(),
        (filter, more) => format!("{} and {}", operand(filter), operand(more)),
    }
}

/// `or` binds looser than `and`, so an operand with an open `or` needs parentheses.
fn operand(filter: &str) -> String {
    if has_open_or(filter) {
        format!("({filter})")
    } else {
        filter.to_owned()
    }
}

/// Returns true if `filter` has the word `or` outside every text literal and parenthesis.
fn has_open_or(filter: &str) -> bool {
    let mut depth = 0_i32;
    let mut is_quoted = false;
    let mut word = String::new();
    for letter in filter.chars().chain(std::iter::once(' ')) {
        match letter {
            // A doubled quote inside a literal closes and opens it again, which is the same.
            '\'' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if letter.is_whitespace() && depth == 0 && word.eq_ignore_ascii_case("or") => {
                return true;
            }
            _ => {}
        }
        if is_quoted || letter.is_whitespace() || "()'".contains(letter) {
            word.clear();
        } else {
            word.push(letter);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_join_without_changing_their_meaning() {
        let cursor = "Modified ge datetime'2026-01-01T00:00:00'";
        let cases = [
            ("", cursor, cursor.to_owned()),
            (cursor, " ", cursor.to_owned()),
            ("Type eq 2", cursor, format!("Type eq 2 and {cursor}")),
            (
                "A eq 1 or B eq 2",
                cursor,
                format!("(A eq 1 or B eq 2) and {cursor}"),
            ),
            (
                "A eq 1",
                "B eq 2 OR C eq 3",
                "A eq 1 and (B eq 2 OR C eq 3)".to_owned(),
            ),
            (
                "(A eq 1 or B eq 2)",
                "C",
                "(A eq 1 or B eq 2) and C".to_owned(),
            ),
            ("(A) or (B)", "C", "((A) or (B)) and C".to_owned()),
            ("Name eq 'x or y'", "C", "Name eq 'x or y' and C".to_owned()),
            (
                "Name eq 'it''s' or B",
                "C",
                "(Name eq 'it''s' or B) and C".to_owned(),
            ),
            (
                "Floor eq 1 and orId eq 2",
                "C",
                "Floor eq 1 and orId eq 2 and C".to_owned(),
            ),
            (
                "Tags/any(t:t eq 'a' or t eq 'b')",
                "C",
                "Tags/any(t:t eq 'a' or t eq 'b') and C".into(),
            ),
        ];
        for (filter, more, joined) in cases {
            assert_eq!(and(filter, more), joined);
        }
    }
}
