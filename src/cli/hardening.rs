//! Keeps what this process knows to itself.

use std::panic;

use super::print;

/// Makes core dumps impossible, shuts this process's memory to others of the same user, and lets a
/// panic tell where it was, not what it held.
pub(super) fn begin() {
    #[cfg(target_os = "linux")]
    keep_memory();
    panic::set_hook(Box::new(|panicked| {
        let place = panicked
            .location()
            .map(|place| format!("{}:{}", place.file(), place.line()));
        let place = place.unwrap_or_else(|| "an unknown place".to_owned());
        print::talk(&format!(
            "error: a part of tidegate broke off at {place}, which is a fault of the program"
        ));
    }));
}

#[cfg(target_os = "linux")]
fn keep_memory() {
    use rustix::process::{self, DumpableBehavior, Resource, Rlimit};
    // A piped core handler is not bound by the limit, so that alone would not do; this also keeps
    // debuggers of the same user out. It cannot fail with a value the kernel knows.
    let _ = process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // The unit forbids the call and has set the limit itself.
    let _ = process::setrlimit(Resource::Core, none);
}
