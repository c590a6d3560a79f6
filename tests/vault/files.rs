//! What lies in the files of a house.

use std::path::Path;

/// Returns the files below `directory` that hold `secret`.
pub(crate) fn holding(directory: &Path, secret: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, secret));
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let is_here = |window: &[u8]| window == secret.as_bytes();
            if bytes.windows(secret.len()).any(is_here) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}
