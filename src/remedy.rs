//! What should happen next after an error.

use serde::{Deserialize, Serialize};

/// Who must act before the same thing can succeed.
///
/// Every error of the house answers with one. The scheduler, the exit code and the hint
/// follow it; nothing else decides whether something is tried again. Where several things failed, the
/// later one in this order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Nobody: the next run, or a later try, may succeed by itself.
    Wait,
    /// A person must sign in.
    Login,
    /// A person must change the configuration, a key, a permission or a disk.
    EditConfig,
    /// The program itself is at fault.
    Report,
}

/// Tells an error with its causes, leaving out a cause whose words stand there already.
#[must_use]
pub fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !told.contains(&words) {
            told = format!("{told}: {words}");
        }
        source = cause.source();
    }
    told
}
