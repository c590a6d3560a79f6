//! Single values of a JSON text, for what leads on in a few styles only.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::fetch::records::Scalar;

/// Returns what stands at `path`.
pub(super) fn dig<'j>(json: &'j str, path: &[String]) -> Option<&'j RawValue> {
    let mut value: &RawValue = serde_json::from_str(json).ok()?;
    for name in path {
        value = members(value.get())?.remove(name)?;
    }
    Some(value)
}

/// Returns the members of an object.
pub(super) fn members(json: &str) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(json).ok()
}

/// Returns a value that is neither an object, an array nor null.
pub(super) fn scalar(raw: &RawValue) -> Option<Scalar> {
    let text = raw.get();
    match text.as_bytes().first()? {
        b'"' => serde_json::from_str(text).ok().map(Scalar::Text),
        b'{' | b'[' | b'n' => None,
        b't' => Some(Scalar::Flag(true)),
        b'f' => Some(Scalar::Flag(false)),
        _ => Some(Scalar::Number(text.to_owned())),
    }
}
