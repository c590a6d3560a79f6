//! What is posted.

use serde_json::{Map, Value};

use super::wrong;
use crate::fetch::Error;
use crate::fetch::records::Scalar;
use crate::http::HeaderValue;
use crate::record::FieldPath;

/// A body with its templates filled in.
#[derive(Debug, Clone)]
pub(super) enum Posted {
    /// A JSON value.
    Json(Value),
    /// Form fields.
    Form(Vec<(String, String)>),
}

impl Posted {
    /// Returns the media type.
    pub(super) fn media(&self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json(_) => "application/json",
            Self::Form(_) => "application/x-www-form-urlencoded",
        })
    }

    /// Returns the body as it is sent.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Json(value) => value.to_string().into_bytes(),
            Self::Form(fields) => url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(fields)
                .finish()
                .into_bytes(),
        }
    }

    /// Puts a cursor in, making the objects on the way.
    ///
    /// # Errors
    /// If the way leads through something else.
    pub(super) fn put(&mut self, path: &FieldPath, word: &Scalar) -> Result<(), Error> {
        match self {
            Self::Form(fields) => {
                let name = path.to_string();
                fields.retain(|(other, _)| *other != name);
                fields.push((name, word.text()));
            }
            Self::Json(json) => *reach(json, path)? = value(word),
        }
        Ok(())
    }
}

fn reach<'v>(json: &'v mut Value, path: &FieldPath) -> Result<&'v mut Value, Error> {
    let mut place = json;
    for segment in path.segments() {
        let Value::Object(fields) = place else {
            let message = format!("`{path}` leads through something that is no object");
            return Err(wrong("paging.body", message));
        };
        place = fields
            .entry(segment.clone())
            .or_insert_with(|| Value::Object(Map::new()));
    }
    Ok(place)
}

pub(super) fn value(word: &Scalar) -> Value {
    match word {
        Scalar::Text(text) => Value::String(text.clone()),
        Scalar::Flag(flag) => Value::Bool(*flag),
        // A number too long for JSON as programs read it goes back as text, with all its digits.
        Scalar::Number(digits) => digits.parse::<i64>().map_or_else(
            |_| Value::String(digits.clone()),
            |number| Value::Number(number.into()),
        ),
    }
}
