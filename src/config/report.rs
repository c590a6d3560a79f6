//! Every problem of a configuration in one report.

/// Every problem of a configuration file.
#[derive(Debug)]
pub struct Report {}
