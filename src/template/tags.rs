//! What stands in braces, found before minijinja reads it: a template that goes too deep would take
//! the whole program down.

use std::ops::Range;

use super::Error;

/// The longest `{{ … }}` or `{% … %}` in bytes, and the most of them. minijinja goes one call deeper
/// for each operator and each `elif`; four times as much would overflow the stack of a thread.
const LONGEST_TAG: usize = 500;
const MOST_TAGS: usize = 100;

/// Refuses what would take minijinja too deep.
pub(super) fn check(source: &str) -> Result<(), Error> {
    for (number, tag) in tags(source).enumerate() {
        let message = if tag.len() > LONGEST_TAG {
            format!(
                "{} bytes between its braces, more than {LONGEST_TAG}",
                tag.len()
            )
        } else if number == MOST_TAGS {
            format!("more than {MOST_TAGS} pairs of braces")
        } else {
            continue;
        };
        let range = Some(tag);
        return Err(Error { message, range });
    }
    Ok(())
}

/// Returns what stands in the braces of a template that is one `{{ … }}` and nothing else.
pub(super) fn only(source: &str) -> Option<&str> {
    let inner = source.trim().strip_prefix("{{")?;
    let inner = inner.strip_suffix("}}")?;
    // Another pair ends before the last one does.
    let is_one = length(inner, "}}") == inner.len();
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
    is_one.then_some(inner)
}

/// Returns where the `{{ … }}` and `{% … %}` of a template stand.
fn tags(source: &str) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + source[from..].find('{')?;
            let end = match source.as_bytes().get(start + 1) {
                Some(b'{') => "}}",
                Some(b'%') => "%}",
                Some(b'#') => "#}",
                _ => {
                    from = start + 1;
                    continue;
                }
            };
            let inner = start + 2;
            from = inner + length(&source[inner..], end);
            if end != "#}" {
                return Some(start..from);
            }
        }
    })
}

/// Returns how far it is to the end of a tag that ends with `end`, which texts in quotes may hold.
fn length(tag: &str, end: &str) -> usize {
    let mut quote = None;
    let mut is_escaped = false;
    for (at, letter) in tag.char_indices() {
        match (quote, letter) {
            (None, _) if tag[at..].starts_with(end) => return at + end.len(),
            (None, '"' | '\'') if end != "#}" => quote = Some(letter),
            (Some(_), '\\') if !is_escaped => {
                is_escaped = true;
                continue;
            }
            (Some(open), _) if open == letter && !is_escaped => quote = None,
            _ => {}
        }
        is_escaped = false;
    }
    tag.len()
}

#[cfg(test)]
mod tests {
    use crate::template::Template;

    #[test]
    fn what_would_go_too_deep_is_refused_with_its_place() {
        let deep = [
            format!("x {{{{ a{} }}}}", " + a".repeat(100_000)),
            format!("x {{{{ a{} }}}}", "|e".repeat(100_000)),
            format!("x {{{{ {}a }}}}", "-".repeat(100_000)),
            format!("x {{{{ \"}}}}\\\"}}}}\"{} }}}}", " + a".repeat(100_000)),
            format!("x {{% if {} %}}1{{% endif %}}", "not ".repeat(100_000)),
        ];
        for source in &deep {
            let error = Template::parse(source).unwrap_err();
            assert!(error.message.contains("more than 500"), "{error}");
            assert_eq!(error.range.unwrap().start, 2);
        }
        let many = "{% elif a %}".repeat(100_000);
        let many = format!("{{% if a %}}{many}{{% endif %}}");
        let error = Template::parse(&many).unwrap_err();
        assert!(error.message.contains("more than 100"), "{error}");

        let long = "x".repeat(100_000);
        let fine = format!("{long}{{# {{{{ '{long} #}}{{{{ a }}}}{{ {long} }}");
        assert!(Template::parse(&fine).is_ok());
        let full = format!("{{{{ a{} }}}}", "|e".repeat(246));
        assert!(Template::parse(&full.repeat(100)).is_ok());
    }
}
