//! One HTTP client for the whole house: time limits, size caps, no redirects, and credentials only
//! to the origins they belong to.
