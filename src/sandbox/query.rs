//! A list request's options, and the page they ask for.

mod link;

use std::cmp::Ordering;

use url::form_urlencoded;

use super::cell::{Cell, Row};
use super::filter::{Filter, read_literals};

/// What may be asked of one entity set, and how much of it comes at once.
#[derive(Debug)]
pub(super) struct EntitySet {
    /// The key, by which the list is ordered unless asked otherwise.
    pub key: &'static str,
    /// How many records a page holds at most.
    pub page: usize,
    /// Whether every request must name its columns.
    pub selects: bool,
    /// The only field that may be filtered on, if there is such a rule.
    pub filters_only: Option<&'static str>,
    /// Tells which of the fields kept are part of this set.
    pub shows: fn(&str, &Cell) -> bool,
}

/// The options of one request.
#[derive(Debug)]
pub(super) struct Query {
    select: Option<Vec<String>>,
    filter: Option<Filter>,
    order: Vec<(String, Direction)>,
    top: Option<usize>,
    after: Option<Vec<Cell>>,
    /// Whether the number of all records is wanted too.
    pub counts: bool,
    given: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// The records of one answer.
#[derive(Debug)]
pub(super) struct Page<'a> {
    /// The records, in the order asked for.
    pub rows: Vec<&'a Row>,
    /// How many records the filter takes, whatever their page.
    pub total: usize,
    /// The query of the next page, if there is one.
    pub next: Option<String>,
    /// Whether the answer is a bare array: asked for no more than fits a page.
    pub bare: bool,
}

impl Query {
    /// Reads a query string. The words of a refusal are meant for the error body.
    pub(super) fn read(text: &str, set: &EntitySet) -> Result<Self, String> {
        let mut query = Self {
            select: None,
            filter: None,
            order: Vec::new(),
            top: None,
            after: None,
            counts: false,
            given: form_urlencoded::parse(text.as_bytes())
                .into_owned()
                .collect(),
        };
        for (name, value) in query.given.clone() {
            query
                .take(&name, &value)
                .map_err(|why| format!("Invalid query option {name}: {why}"))?;
        }
        if !query.order.iter().any(|(field, _)| field == set.key) {
            query.order.push((set.key.to_owned(), Direction::Up));
        }
        if query
            .after
            .as_ref()
            .is_some_and(|after| after.len() != query.order.len())
        {
            return Err("Invalid query option $skiptoken: it does not fit $orderby".to_owned());
        }
        if set.selects && query.select.is_none() && query.top != Some(1) {
            return Err(
                "Please add a $select or a $top=1 statement to the query string".to_owned(),
            );
        }
        if let (Some(only), Some(filter)) = (set.filters_only, &query.filter)
            && filter.fields().iter().any(|field| *field != only)
        {
            return Err(format!(
                "Invalid query option $filter: only {only} may be filtered on"
            ));
        }
        Ok(query)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "$select" => self.select = Some(value.split(',').map(|f| f.trim().into()).collect()),
            "$filter" => self.filter = Some(Filter::read(value)?),
            "$orderby" => {
                self.order = value.split(',').map(read_order).collect::<Result<_, _>>()?
            }
            "$top" => self.top = Some(value.parse().map_err(|_| "not a number")?),
            "$skiptoken" => self.after = Some(read_literals(value)?),
            "$inlinecount" => self.counts = value == "allpages",
            _ if name.starts_with('$') => return Err("not supported".to_owned()),
            // The service does not mind what it does not know.
            _ => {}
        }
        Ok(())
    }

    /// Returns the first name asked for that no field of `row` bears.
    pub(super) fn unknown_field(&self, row: &Row, set: &EntitySet) -> Option<&str> {
        let selected = self.select.iter().flatten().map(String::as_str);
        let ordered = self.order.iter().map(|(field, _)| field.as_str());
        let filtered = self.filter.iter().flat_map(Filter::fields);
        let known = |name: &str| row.get(name).is_some_and(|cell| (set.shows)(name, cell));
        selected
            .chain(ordered)
            .chain(filtered)
            .find(|name| !known(name))
    }

    /// Returns the fields of a row that were asked for.
    pub(super) fn fields<'a>(
        &'a self,
        row: &'a Row,
        set: &'a EntitySet,
    ) -> impl Iterator<Item = (&'static str, &'a Cell)> {
        row.fields().filter(|(name, cell)| {
            let wanted = self.select.as_ref();
            (set.shows)(name, cell)
                && wanted.is_none_or(|wanted| wanted.iter().any(|wanted| wanted == name))
        })
    }

    /// Returns the page this request asks for.
    pub(super) fn page<'a>(
        &self,
        rows: impl Iterator<Item = &'a Row>,
        set: &EntitySet,
    ) -> Page<'a> {
        let mut total = 0;
        let mut taken: Vec<(Vec<&Cell>, &Row)> = rows
            .filter(|row| self.filter.as_ref().is_none_or(|filter| filter.takes(row)))
            .inspect(|_| total += 1)
            .map(|row| (self.keys(row), row))
            .filter(|(keys, _)| self.comes_after(keys))
            .collect();
        taken.sort_unstable_by(|(a, _), (b, _)| self.order(a, b.iter().copied()));
        let wanted = self.top.unwrap_or(usize::MAX);
        let more = taken.len() > set.page && wanted > set.page;
        taken.truncate(set.page.min(wanted));
        let next = taken
            .last()
            .filter(|_| more)
            .map(|(keys, _)| link::next(&self.given, self.top.map(|top| top - taken.len()), keys));
        Page {
            rows: taken.into_iter().map(|(_, row)| row).collect(),
            total,
            next,
            bare: wanted <= set.page && !self.counts,
        }
    }

    /// Returns the values a row is ordered by.
    fn keys<'a>(&self, row: &'a Row) -> Vec<&'a Cell> {
        self.order
            .iter()
            .map(|(field, _)| row.get(field).unwrap_or(&Cell::Null))
            .collect()
    }

    fn comes_after(&self, keys: &[&Cell]) -> bool {
        self.after
            .as_ref()
            .is_none_or(|after| self.order(keys, after).is_gt())
    }

    fn order<'c>(&self, a: &[&Cell], b: impl IntoIterator<Item = &'c Cell>) -> Ordering {
        let directions = self.order.iter().map(|(_, direction)| direction);
        a.iter()
            .zip(b)
            .zip(directions)
            .map(|((a, b), direction)| direction.apply(a.order(b)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl Direction {
    fn apply(self, order: Ordering) -> Ordering {
        match self {
            Self::Up => order,
            Self::Down => order.reverse(),
        }
    }
}

fn read_order(text: &str) -> Result<(String, Direction), String> {
    let mut words = text.split_whitespace();
    let field = words.next().ok_or("a field is missing")?;
    let direction = match words.next() {
        None | Some("asc") => Direction::Up,
        Some("desc") => Direction::Down,
        Some(other) => return Err(format!("`{other}` is not a direction")),
    };
    Ok((field.to_owned(), direction))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: EntitySet = EntitySet {
        key: "ID",
        page: 2,
        selects: false,
        filters_only: None,
        shows: |_, _| true,
    };

    fn rows() -> Vec<Row> {
        [("a", 3), ("b", 1), ("c", 2), ("d", 1), ("e", 3)]
            .map(|(id, size)| {
                Row::new(vec![
                    ("ID", Cell::Guid(id.into())),
                    ("Size", Cell::Int(size)),
                ])
            })
            .to_vec()
    }

    /// Follows next links to the end; the keys, and how many pages they took.
    fn walk(first: &str) -> (String, usize) {
        let rows = rows();
        let (mut text, mut keys, mut pages) = (first.to_owned(), String::new(), 0);
        loop {
            let query = Query::read(&text, &SET).unwrap();
            let page = query.page(rows.iter(), &SET);
            pages += 1;
            for row in page.rows {
                let Some(Cell::Guid(id)) = row.get("ID") else {
                    panic!("a row without an ID")
                };
                keys.push_str(id);
            }
            match page.next {
                Some(next) => text = next,
                None => return (keys, pages),
            }
        }
    }

    #[test]
    fn next_links_lead_to_the_end_in_every_order() {
        assert_eq!(walk(""), ("abcde".into(), 3));
        assert_eq!(walk("$orderby=Size"), ("bdcae".into(), 3));
        assert_eq!(walk("$orderby=Size%20desc,ID%20desc"), ("eacdb".into(), 3));
        assert_eq!(walk("$filter=Size+gt+1&$orderby=Size"), ("cae".into(), 2));
        assert_eq!(walk("$top=3"), ("abc".into(), 2));
        assert_eq!(walk("$top=2"), ("ab".into(), 1));
    }

    #[test]
    fn a_next_link_is_half_encoded_and_keeps_what_was_given() {
        let rows = rows();
        let query = Query::read("%24select=ID,Size&$filter=Size%20ge%201", &SET).unwrap();
        let next = query.page(rows.iter(), &SET).next.unwrap();
        assert_eq!(
            next,
            "$select=ID,Size&$filter=Size%20ge%201&$skiptoken=guid'b'"
        );
        let query = Query::read("$orderby=Size&$top=5", &SET).unwrap();
        let next = query.page(rows.iter(), &SET).next.unwrap();
        assert_eq!(next, "$skiptoken=1,guid'd'&$top=3&$orderby=Size");
    }

    #[test]
    fn what_the_service_refuses_is_refused() {
        for wrong in [
            "$filter=",
            "$skip=60",
            "$top=x",
            "$orderby=ID%20sideways",
            "$skiptoken=1,2",
        ] {
            assert!(Query::read(wrong, &SET).is_err(), "{wrong}");
        }
        let sync = EntitySet {
            selects: true,
            filters_only: Some("Timestamp"),
            ..SET
        };
        assert!(Query::read("$filter=Timestamp%20gt%201", &sync).is_err());
        assert!(Query::read("$select=ID&$filter=ID%20eq%20guid'a'", &sync).is_err());
        assert!(Query::read("$select=ID&$filter=Timestamp%20gt%201L", &sync).is_ok());
        let query = Query::read("$select=ID,Colour", &SET).unwrap();
        assert_eq!(query.unknown_field(&rows()[0], &SET), Some("Colour"));
    }
}
