//! What this process has used so far, as Linux tells it.
//!
//! `write_bytes` of `/proc/self/io` counts a whole run of pages for each byte changed in it, so what is counted here is
//! what the process asked to have written: to its files, and to the network, which is little beside.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

/// Processor time, memory and bytes written.
pub(crate) struct Cost {
    at: Instant,
    processor: Duration,
    peak_mib: u64,
    written_mib: u64,
}

impl Cost {
    /// Reads what was used until now.
    #[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
    pub(crate) fn now() -> Self {
        Self {
            at: Instant::now(),
            processor: processor(),
            peak_mib: field("/proc/self/status", "VmHWM:") >> 10,
            written_mib: field("/proc/self/io", "wchar:") >> 20,
        }
    }

    /// Returns what was used since `before`; the peak of memory is that of the whole process.
    pub(crate) fn since(before: &Self) -> Self {
        let now = Self::now();
        Self {
            processor: now.processor.saturating_sub(before.processor),
            written_mib: now.written_mib - before.written_mib,
            ..Self {
                at: before.at,
                ..now
            }
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} s, {:.1} s of processor, {} MiB at most in memory, {} MiB written",
            self.at.elapsed().as_secs_f64(),
            self.processor.as_secs_f64(),
            self.peak_mib,
            self.written_mib
        )
    }
}

/// Returns the number after `name` in a file of `/proc`; 0 where there is none.
fn field(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Returns the time all threads have had, of which Linux counts hundredths of seconds (`proc(5)`).
fn processor() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
