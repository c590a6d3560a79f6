//! What should happen next after an error.

use serde::{Deserialize, Serialize};

/// Who must act before the same thing can succeed.
///
/// Every error of the house answers with one. The scheduler, the exit code and the hint
/// follow it; nothing else decides whether something is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
