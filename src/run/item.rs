//! What a run is about, one after the other: accounts, and the items its request is repeated for.

use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Error;
use super::fan_out::Problem;
use crate::config::{Account, Each, Given, Name, With};
use crate::record::FieldPath;
use crate::template::Template;

/// The longest text by which an item is told from others as it is; a longer one is known by its
/// digest, so that no row of bookmarks grows without bound.
const LONGEST: usize = 200;
/// How many letters of an item's values a person is shown.
const SHOWN: usize = 80;

/// One thing a run reads: an account's records for one combination of `for_each`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    /// Whose records they are.
    pub(super) account: Account,
    /// What templates call `each.…`; empty without `for_each`.
    pub(super) each: Each,
}

impl Item {
    /// Returns what the item is called where bookmarks are kept: by its values, so that it is the
    /// same one wherever it stands among the others.
    pub(super) fn part(&self) -> String {
        let account = self.account.name.as_ref().map(Name::as_str);
        if self.each.is_empty() {
            return account.unwrap_or_default().to_owned();
        }
        let mut values = Value::Object(self.each.clone()).to_string();
        if values.len() > LONGEST {
            let digest = Sha256::digest(values.as_bytes());
            let digits = digest.iter().map(|byte| format!("{byte:02x}"));
            values = format!("sha256:{}", digits.collect::<String>());
        }
        // No name of an account has a space.
        match account {
            Some(account) => format!("{account} {values}"),
            None => values,
        }
    }

    /// Returns true if nothing tells the item from others, so that it needs no name.
    pub(super) fn is_the_only_one(&self) -> bool {
        self.account.name.is_none() && self.each.is_empty()
    }

    /// Returns the values of the columns that say for which item a row was read, as JSON.
    pub(super) fn given(
        &self,
        with: &[With],
        fill: impl Fn(&str, &Template) -> Result<String, Error>,
    ) -> Result<Vec<(FieldPath, String)>, Error> {
        let value = |with: &With| {
            let value = match &with.value {
                Given::Constant(value) => value.clone(),
                Given::Each(name) => match self.each.get(name) {
                    Some(value) => value.clone(),
                    None => return Err(Problem::Unnamed { name: name.clone() }.into()),
                },
                Given::Text(template) => Value::String(fill(&with.column, template)?),
            };
            Ok((FieldPath::of([&with.column]), value.to_string()))
        };
        with.iter().map(value).collect()
    }
}

/// Names the item for a person: `berlin`, `id=7`, `berlin, id=7, kind=a`.
impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = self.account.name.as_ref().map(Name::to_string);
        let values = self.each.iter().map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            value => format!("{name}={value}"),
        });
        let words: Vec<String> = account.into_iter().chain(values).collect();
        if words.is_empty() {
            return self.account.connection.fmt(f);
        }
        let words = words.join(", ");
        match words.char_indices().nth(SHOWN) {
            Some((cut, _)) => write!(f, "{}…", &words[..cut]),
            None => f.write_str(&words),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(account: Option<&str>, each: Value) -> Item {
        let connection = Name::parse("shop").unwrap();
        let Value::Object(each) = each else {
            panic!("an item is a table")
        };
        let account = match account {
            Some(name) => Account::named(&connection, &Name::parse(name).unwrap()),
            None => Account::of(&connection),
        };
        Item { account, each }
    }

    #[test]
    fn an_item_is_known_by_its_account_and_its_values() {
        let cases = [
            (item(None, json!({})), "", "shop"),
            (item(Some("berlin"), json!({})), "berlin", "berlin"),
            (
                item(None, json!({"id": 7, "b": "x"})),
                r#"{"b":"x","id":7}"#,
                "b=x, id=7",
            ),
            (
                item(Some("berlin"), json!({"id": "7"})),
                r#"berlin {"id":"7"}"#,
                "berlin, id=7",
            ),
        ];
        for (item, part, shown) in cases {
            assert_eq!(
                (item.part().as_str(), item.to_string().as_str()),
                (part, shown)
            );
        }
    }

    #[test]
    fn long_values_are_known_by_their_digest_and_shown_in_part() {
        let long = item(None, json!({"id": "x".repeat(1_000)}));
        let other = item(None, json!({"id": "x".repeat(1_001)}));
        assert!(long.part().starts_with("sha256:") && long.part().len() < 100);
        assert_ne!(long.part(), other.part());
        assert_eq!(long.to_string().chars().count(), SHOWN + 1);
    }
}
