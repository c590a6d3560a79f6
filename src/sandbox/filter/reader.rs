//! Reads filters and literals, letter by letter.

use jiff::civil::DateTime;

use super::{Filter, Operator};
use crate::sandbox::cell::Cell;

/// How deep parentheses may nest.
const MAX_DEPTH: usize = 16;

/// Reads a whole filter.
pub(super) fn read_filter(text: &str) -> Result<Filter, String> {
    let mut reader = Reader { rest: text.trim() };
    let filter = reader.either(0)?;
    if reader.rest.is_empty() {
        Ok(filter)
    } else {
        Err(reader.stuck())
    }
}

/// Reads literals parted by commas, as a `$skiptoken` holds them.
pub(in crate::sandbox) fn read_literals(text: &str) -> Result<Vec<Cell>, String> {
    let mut reader = Reader { rest: text.trim() };
    let mut literals = vec![reader.literal()?];
    while reader.takes(",") {
        literals.push(reader.literal()?);
    }
    if reader.rest.is_empty() {
        Ok(literals)
    } else {
        Err(reader.stuck())
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn either(&mut self, depth: usize) -> Result<Filter, String> {
        let mut left = self.both(depth)?;
        while self.takes_word("or") {
            left = Filter::Or(Box::new(left), Box::new(self.both(depth)?));
        }
        Ok(left)
    }

    fn both(&mut self, depth: usize) -> Result<Filter, String> {
        let mut left = self.term(depth)?;
        while self.takes_word("and") {
            left = Filter::And(Box::new(left), Box::new(self.term(depth)?));
        }
        Ok(left)
    }

    fn term(&mut self, depth: usize) -> Result<Filter, String> {
        if !self.takes("(") {
            return self.comparison();
        }
        if depth == MAX_DEPTH {
            return Err("parentheses nest too deep".to_owned());
        }
        let inner = self.either(depth + 1)?;
        if self.takes(")") {
            Ok(inner)
        } else {
            Err(self.stuck())
        }
    }

    fn comparison(&mut self) -> Result<Filter, String> {
        let field = self.word()?.to_owned();
        let operator = match self.word()? {
            "eq" => Operator::Equal,
            "ne" => Operator::NotEqual,
            "gt" => Operator::Greater,
            "ge" => Operator::GreaterOrEqual,
            "lt" => Operator::Less,
            "le" => Operator::LessOrEqual,
            other => return Err(format!("`{other}` is not an operator")),
        };
        Ok(Filter::Compare {
            field,
            operator,
            value: self.literal()?,
        })
    }

    fn literal(&mut self) -> Result<Cell, String> {
        if self.takes("guid'") {
            return Ok(Cell::Guid(self.quoted()?.to_ascii_lowercase()));
        }
        if self.takes("datetime'") {
            let text = self.quoted()?;
            // The service wants the time of day too, and no zone.
            return match text.parse::<DateTime>() {
                Ok(moment) if text.contains('T') => Ok(Cell::Moment(moment)),
                _ => Err(format!("`{text}` is not a date and time without a zone")),
            };
        }
        if self.takes("'") {
            return Ok(Cell::Text(self.quoted()?));
        }
        let word = self.word()?;
        match word {
            "null" => return Ok(Cell::Null),
            "true" => return Ok(Cell::Bool(true)),
            "false" => return Ok(Cell::Bool(false)),
            _ => {}
        }
        if let Ok(number) = word.strip_suffix('L').unwrap_or(word).parse() {
            return Ok(Cell::Long(number));
        }
        let float = word.strip_suffix('d').unwrap_or(word).parse().ok();
        float
            .map(Cell::Double)
            .ok_or_else(|| format!("`{word}` is not a value"))
    }

    /// Reads up to the closing quote; two quotes in a row are one.
    fn quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            let end = self.rest.find('\'').ok_or("a quote is not closed")?;
            text.push_str(&self.rest[..end]);
            self.rest = &self.rest[end + 1..];
            match self.rest.strip_prefix('\'') {
                Some(after) => {
                    text.push('\'');
                    self.rest = after;
                }
                None => {
                    self.rest = self.rest.trim_start();
                    return Ok(text);
                }
            }
        }
    }

    fn word(&mut self) -> Result<&'a str, String> {
        let end = self
            .rest
            .find([' ', ',', '(', ')', '\''])
            .unwrap_or(self.rest.len());
        if end == 0 {
            return Err(self.stuck());
        }
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        Ok(word)
    }

    fn takes(&mut self, start: &str) -> bool {
        let after = self.rest.strip_prefix(start);
        if let Some(after) = after {
            // What follows an opening quote is the person's text, blanks included.
            self.rest = if start.ends_with('\'') {
                after
            } else {
                after.trim_start()
            };
        }
        after.is_some()
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let after = self.rest.strip_prefix(word);
        let after = after.filter(|after| after.starts_with([' ', '(']));
        if let Some(after) = after {
            self.rest = after.trim_start();
        }
        after.is_some()
    }

    fn stuck(&self) -> String {
        let rest: String = self.rest.chars().take(40).collect();
        if rest.is_empty() {
            "it ends too early".to_owned()
        } else {
            format!("stuck at `{rest}`")
        }
    }
}
