//! JSON text in and out of jaq's values, which are a superset of JSON.

use jaq_json::{Num, Val};
use serde::de::IgnoredAny;

use super::Error;

/// How deeply a text may be nested: reading it takes stack for every level.
pub(super) const DEEPEST: usize = 256;

/// Reads JSON and nothing else.
pub(super) fn read(text: &str) -> Result<Val, Error> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| Error::NotJson {
        line: error.line(),
        column: error.column(),
    })?;
    if is_nested(text.as_bytes()) {
        return Err(Error::Nested);
    }
    jaq_json::read::parse_single(text.as_bytes()).map_err(|_| Error::NotJson { line: 1, column: 1 })
}

/// Returns true if a JSON text is nested too deeply to be read.
pub(super) fn is_nested(text: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > DEEPEST {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Writes a value as JSON.
///
/// What division by zero makes is written as null, as jq does and as SQL has it.
///
/// # Errors
/// If JSON has no spelling for the value.
pub(super) fn write(value: &Val, out: &mut Vec<u8>) -> Result<(), Error> {
    write_at(value, out, 0)
}

fn write_at(value: &Val, out: &mut Vec<u8>, depth: usize) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(Error::Deep);
    }
    match value {
        Val::Null => out.extend(b"null"),
        Val::Bool(true) => out.extend(b"true"),
        Val::Bool(false) => out.extend(b"false"),
        Val::Num(number) => write_number(number, out),
        Val::TStr(text) => write_text(text, out),
        Val::BStr(_) => return Err(Error::NoJson("a string of bytes")),
        Val::Arr(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_at(item, out, depth + 1)?;
            }
            out.push(b']');
        }
        Val::Obj(fields) => {
            out.push(b'{');
            for (index, (key, value)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                let Val::TStr(key) = key else {
                    return Err(Error::NoJson("an object with keys that are no text"));
                };
                write_text(key, out);
                out.push(b':');
                write_at(value, out, depth + 1)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// Writes a text; bytes that are no UTF-8, which only a program can make, are replaced.
fn write_text(text: &[u8], out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(text);
    // Writing text to memory cannot fail.
    drop(serde_json::to_writer(out, &text));
}

fn write_number(number: &Num, out: &mut Vec<u8>) {
    match number {
        Num::Float(number) if !number.is_finite() => out.extend(b"null"),
        // As written in the source, or by whoever wrote the text that became a number: that may be
        // less strict than JSON is.
        Num::Dec(digits) => out.extend(strict(digits).as_bytes()),
        Num::Int(_) | Num::BigInt(_) | Num::Float(_) => out.extend(number.to_string().as_bytes()),
    }
}

/// Returns a decimal as JSON has it: without a plus, and without zeros in front.
fn strict(digits: &str) -> String {
    let (sign, rest) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits.strip_prefix('+').unwrap_or(digits)),
    };
    let trimmed = rest.trim_start_matches('0');
    let zero = match trimmed.starts_with(|c: char| c.is_ascii_digit()) {
        true => "",
        false => "0",
    };
    format!("{sign}{zero}{trimmed}")
}
