//! A login on another device, with a code that is typed there.

use super::super::print;
use super::scopes::Asked;
use super::{How, browser};
use crate::control::LoginAnswer;
use crate::oauth::DeviceStart;

/// Shows the person where to go and what to type there.
pub(super) fn answer(begun: &DeviceStart, asked: &Asked<'_>, how: &How) -> LoginAnswer {
    print::talk("Open this address on any device, and enter the code:\n");
    if how.output.json {
        print::json(&asked.beside(begun));
    } else {
        print::line(begun.verification_uri.as_str());
        print::line(&begun.user_code);
    }
    if let Some(complete) = &begun.verification_uri_complete {
        print::talk(&format!("\nWith the code in it: {complete}"));
        browser::open(complete.as_str(), how);
    }
    print::talk(&format!(
        "\nWaiting until somebody has signed in there, {} at the latest …",
        print::moment(begun.ends_at)
    ));
    LoginAnswer::Elsewhere
}
