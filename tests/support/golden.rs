//! What a program said, without what differs from one run of a test to the next.

use super::{Ran, TempHouse};

/// What stands before a number that the machine chooses, and what is written in its place.
const CHOSEN: [(&str, &str); 3] = [
    ("127.0.0.1:", "PORT"),
    ("process ", "PID"),
    ("tidegate 0.", "VERSION"),
];
/// What stands before a length of time.
const LASTED: [&str; 2] = [" in ", " after "];
const UNITS: [&str; 4] = [" ms", " min", " s", " h"];

impl Ran {
    /// Returns exit code, answer and talk as one block of text: paths inside the house, ports,
    /// process ids and lengths of time are named rather than shown.
    pub fn block(&self, house: &TempHouse) -> String {
        without_lengths(&self.still_block(house))
    }

    /// As [`block`](Self::block), where time stands still and every length of it is known.
    pub fn still_block(&self, house: &TempHouse) -> String {
        let code = self
            .code
            .map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        let mut block = format!("exit {code}\n");
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                block.push_str(&format!("--- {name}\n{}", tamed(text, house)));
            }
        }
        block
    }

    /// As [`block`](Self::block), for a program that ran while time passed: instants are named too.
    pub fn timeless_block(&self, house: &TempHouse) -> String {
        without_instants(&self.block(house))
    }
}

/// Names paths, ports and process ids.
fn tamed(text: &str, house: &TempHouse) -> String {
    let directory = house.path("").to_string_lossy().into_owned();
    let text = text.replace(directory.trim_end_matches('/'), "HOUSE");
    CHOSEN.iter().fold(text, |text, (before, name)| {
        replaced(&text, before, |rest| {
            let length = number(rest);
            (length > 0).then(|| (length, (*name).to_owned()))
        })
    })
}

/// Writes `TIME` in place of every length of time.
fn without_lengths(text: &str) -> String {
    LASTED.iter().fold(text.to_owned(), |text, before| {
        replaced(&text, before, |rest| {
            let length = duration(rest);
            (length > 0).then(|| (length, "TIME".to_owned()))
        })
    })
}

/// Writes `WHEN` in place of every instant.
fn without_instants(text: &str) -> String {
    replaced(text, "20", |rest| {
        let date = rest.bytes().zip("dd-dd-dd".bytes()).all(|(byte, shape)| {
            if shape == b'd' {
                byte.is_ascii_digit()
            } else {
                byte == shape
            }
        });
        let part = |byte: u8| byte.is_ascii_digit() || b"-:.+TZ".contains(&byte);
        let day = "dd-dd-dd".len();
        if !date || rest.len() < day {
            return None;
        }
        let mut end = day + rest[day..].bytes().take_while(|byte| part(*byte)).count();
        // A person reads the time of day after a space.
        if rest[end..].starts_with(' ') && rest[end + 1..].starts_with(|c: char| c.is_ascii_digit())
        {
            end += 1 + rest[end + 1..]
                .bytes()
                .take_while(|byte| part(*byte))
                .count();
        }
        // A colon belongs to the sentence.
        let end = rest[..end].trim_end_matches(':').len();
        Some((end, "WHEN".to_owned()))
    })
    .replace("20WHEN", "WHEN")
}

/// Replaces what follows `before`, as far as `change` says and with what it says.
fn replaced(text: &str, before: &str, change: impl Fn(&str) -> Option<(usize, String)>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(before) {
        let (head, tail) = rest.split_at(at + before.len());
        out.push_str(head);
        rest = tail;
        if let Some((length, name)) = change(rest) {
            out.push_str(&name);
            rest = &rest[length..];
        }
    }
    out.push_str(rest);
    out
}

fn number(text: &str) -> usize {
    text.bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
        .count()
}

/// Returns how many bytes of `text` are a length of time, as `3 ms`, `1.2 s` or `2 h 5 min`.
fn duration(text: &str) -> usize {
    let mut end = 0;
    loop {
        let start = end + usize::from(end > 0);
        let Some(rest) = text.get(start..) else {
            return end;
        };
        let digits = number(rest);
        let unit = UNITS.iter().find(|unit| rest[digits..].starts_with(**unit));
        match unit {
            Some(unit) if digits > 0 => end = start + digits + unit.len(),
            _ => return end,
        }
    }
}
