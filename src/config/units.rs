//! Durations and sizes as a person writes them; pure.

use std::time::Duration;

/// The units of a duration, in milliseconds.
const TIME: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

/// The units of a size, in bytes.
const SIZE: [(&str, u64); 7] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Reads `90d`, `15m` or `1h 30m`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    let mut last = u64::MAX;
    while !rest.is_empty() {
        let (number, unit, after) = quantity(rest)?;
        let (_, factor) = TIME.iter().find(|(name, _)| *name == unit)?;
        // From large to small, each unit once: `30m 1h` is more likely a slip than a wish.
        if *factor >= last {
            return None;
        }
        last = *factor;
        total = total.checked_add(number.checked_mul(*factor)?)?;
        rest = after;
    }
    (last < u64::MAX).then(|| Duration::from_millis(total))
}

/// Reads `64MB` or `10 KiB`.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit, after) = quantity(text.trim())?;
    let (_, factor) = SIZE.iter().find(|(name, _)| *name == unit)?;
    if after.is_empty() {
        number.checked_mul(*factor)
    } else {
        None
    }
}

/// Splits off a leading number and its unit.
fn quantity(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let number = text[..digits].parse().ok()?;
    let rest = text[digits..].trim_start();
    let letters = rest
        .find(|letter: char| !letter.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    Some((number, &rest[..letters], rest[letters..].trim_start()))
}

/// Returns a duration as the configuration writes it, such as `1h 30m`.
pub fn show(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut parts = Vec::new();
    for (unit, factor) in TIME.iter().rev() {
        if left >= *factor {
            parts.push(format!("{}{unit}", left / factor));
            left %= factor;
        }
    }
    if parts.is_empty() {
        "0s".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_fall_in_size() {
        for (text, seconds) in [
            ("15m", 900),
            ("570 s", 570),
            ("1h 30m", 5400),
            ("1h30m", 5400),
            ("90d", 7_776_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in [
            "",
            "15",
            "m",
            "15 minutes",
            "30m 1h",
            "1m 1m",
            "-5m",
            "1.5h",
            "99999999999999999999d",
            "9999999999999999w",
        ] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        assert_eq!(show(Duration::from_millis(5_400_250)), "1h 30m 250ms");
    }

    #[test]
    fn sizes_know_both_kinds_of_kilo() {
        for (text, bytes) in [("64MB", 64_000_000), ("10 KiB", 10_240), ("1B", 1)] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for wrong in ["64", "64M", "MB", "64MB 1KB", "99999999999GB"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }
}
