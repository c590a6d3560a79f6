//! What lies in the files of a house.

use std::path::Path;

/// Returns the files below `directory` that hold `secret`.
pub(crate) fn holding(directory: &Path, secret: &str) -> Vec<String> {
    with_bytes(directory, secret.as_bytes())
}

/// Returns the files below `directory` in which these bytes stand.
pub(crate) fn with_bytes(directory: &Path, wanted: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(with_bytes(&path, wanted));
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            if bytes.windows(wanted.len()).any(|window| window == wanted) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}
