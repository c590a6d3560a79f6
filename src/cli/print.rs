//! How answers look: tables, counts, moments, JSON.

use comfy_table::{Cell, CellAlignment, Table};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::journal::Outcome;
use crate::record::Tally;
use crate::run::Ended;

/// Prints an answer as JSON.
pub(super) fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(&text),
        Err(error) => talk(&format!("error: could not write JSON: {error}")),
    }
}

/// Prints one line of an answer.
///
/// A closed pipe means that nobody wants to read more, but what was asked for goes on: a run, or the
/// exchange of a token, must not end because of it.
pub(super) fn line(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints what is no answer. Where nobody can read it, there is nobody to tell.
pub(super) fn talk(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints one of many answers as a line of JSON.
pub(super) fn json_line(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => line(&text),
        Err(error) => talk(&format!("error: could not write JSON: {error}")),
    }
}

/// Prints how a run ended: one line, and what to do if it did not end well.
pub(super) fn ended(end: &Ended) {
    let took = elapsed(end.elapsed_ms);
    match end.outcome {
        Outcome::Succeeded => line(&format!("{}: {} in {took}", end.flow, counts(&end.tally))),
        outcome => {
            let outcome = outcome.word();
            line(&format!(
                "{}: {outcome} after {took}, {}",
                end.flow,
                counts(&end.tally)
            ));
            if let Some(error) = &end.error {
                talk(&format!("error: flow `{}`: {error}", end.flow));
            }
            if let Some(hint) = &end.hint {
                talk(&format!("hint: {hint}"));
            }
        }
    }
    for note in &end.notes {
        talk(&format!("note: flow `{}`: {}", end.flow, shown(note)));
    }
}

/// Returns a number of things, as `1 record` or `2 records`.
pub(super) fn many(count: u64, thing: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{ending}")
}

/// Returns what became of records, as `312 records: 3 inserted, 2 updated, 307 unchanged`.
pub(super) fn counts(tally: &Tally) -> String {
    let Tally {
        records,
        inserted,
        updated,
        unchanged,
        deleted,
        restored,
        ..
    } = tally;
    // Most flows never see either.
    let rarely = |count: u64, what: &str| match count {
        0 => String::new(),
        count => format!(", {count} {what}"),
    };
    format!(
        "{}: {inserted} inserted, {updated} updated, {unchanged} unchanged{}{}",
        many(*records, "record"),
        rarely(*deleted, "deleted"),
        rarely(*restored, "restored")
    )
}

/// Returns a number with a comma before every three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Returns a moment in the machine's zone, with its offset.
pub(super) fn moment(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S%:z")
        .to_string()
}

/// Returns a distance in its largest unit or two, as `41 s`, `13 min`, `2 h 5 min`, `3 d`.
pub(super) fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().unsigned_abs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) if minutes % 60 > 0 => format!("{hours} h {} min", minutes % 60),
        (0, hours, _) => format!("{hours} h"),
        (days, ..) => format!("{days} d"),
    }
}

/// Returns a moment as seen from `now`: `in 41 s`, `just now` or `3 min ago`.
pub(super) fn relative(at: Timestamp, now: Timestamp) -> String {
    let distance = at.duration_since(now);
    if distance.as_secs() == 0 {
        return "just now".to_owned();
    }
    match distance.is_negative() {
        true => format!("{} ago", span(distance)),
        false => format!("in {}", span(distance)),
    }
}

fn elapsed(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        _ => format!(
            "{} min {} s",
            milliseconds / 60_000,
            milliseconds % 60_000 / 1_000
        ),
    }
}

/// Prints rows under a heading. Columns named in `right` are numbers.
pub(super) fn table(heading: &[&str], rows: Vec<Vec<String>>, right: &[usize]) {
    let mut table = Table::new();
    table.load_style(comfy_table::TableStyle::default());
    table.set_header(heading.iter().map(|name| Cell::new(shown(name))));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| Cell::new(shown(&cell))));
    }
    for index in right {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    line(&table.trim_fmt());
}

/// Returns text from outside without anything a terminal would obey, on one line.
pub(super) fn shown(text: &str) -> String {
    let shown = |letter: char| match letter {
        '\n' => '\u{2424}', // the sign for a new line
        '\t' => ' ',
        letter if letter.is_control() => '\u{fffd}',
        letter => letter,
    };
    text.replace("\r\n", "\n").chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_have_their_largest_units() {
        let cases = [
            (41, "41 s"),
            (60, "1 min"),
            (7_500, "2 h 5 min"),
            (7_200, "2 h"),
            (200_000, "2 d"),
        ];
        for (seconds, words) in cases {
            assert_eq!(span(SignedDuration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn long_numbers_are_grouped() {
        for (number, words) in [
            (0, "0"),
            (999, "999"),
            (1_440, "1,440"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), words);
        }
    }

    #[test]
    fn a_terminal_obeys_nothing_that_came_from_outside() {
        assert_eq!(
            shown("a\u{1b}[2Jb\r\nc\n\td\re"),
            "a\u{fffd}[2Jb␤c␤ d\u{fffd}e"
        );
    }
}
