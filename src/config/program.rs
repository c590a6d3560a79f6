//! jq programs as the configuration writes them.

use super::reader::Item;
use super::report::Problem;
use crate::jq::Program;

/// Reads a jq program; what is wrong with one is shown at its place in the file.
pub(super) fn program(item: &Item<'_>) -> Option<Program> {
    match Program::parse(item.text()?) {
        Ok(program) => Some(program),
        Err(problem) => {
            let at = item.part(problem.range);
            let message = format!("{}: `{}` is no valid jq program", item.what, item.key);
            item.findings
                .add(Problem::at(at, message).label(problem.message));
            None
        }
    }
}
