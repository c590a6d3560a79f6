//! JSON Lines: a record on each line.

use std::ops::Range;

use serde::de::IgnoredAny;

use crate::fetch::records::{MOST_RECORDS, Problem, kind};

/// Finds the records of a body. Lines with nothing on them are passed over.
pub(super) fn find(text: &str) -> Result<Vec<Range<usize>>, Problem> {
    let mut records = Vec::new();
    for (index, whole) in text.split('\n').enumerate() {
        let line = whole.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let is_last = std::ptr::eq(
            whole.as_bytes().as_ptr_range().end,
            text.as_bytes().as_ptr_range().end,
        );
        serde_json::from_str::<IgnoredAny>(line).map_err(|error| {
            match error.is_eof() && is_last {
                true => Problem::Cut,
                false => Problem::Syntax {
                    line: index + 1,
                    column: error.column(),
                },
            }
        })?;
        if !line.starts_with('{') {
            let number = records.len() + 1;
            let found = kind(line);
            return Err(Problem::NotAnObject { number, found });
        }
        if records.len() == MOST_RECORDS {
            return Err(Problem::TooMany);
        }
        let from = line.as_ptr() as usize - text.as_ptr() as usize;
        records.push(from..from + line.len());
    }
    Ok(records)
}
