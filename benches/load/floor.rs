//! The least a program must do to load these pages: fetch on one thread; on another, parse each
//! record into borrowed slots and bind them to one prepared upsert. It knows its columns when it
//! is compiled, keeps no journal, checks nothing and cannot resume.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc;

use rusqlite::{Connection, params_from_iter};
use serde::Deserialize;
use serde_json::value::RawValue;

const COLUMNS: [(&str, &str); super::records::FIELDS] = [
    ("ID", "TEXT NOT NULL PRIMARY KEY"),
    ("Code", "TEXT"),
    ("Description", "TEXT"),
    ("Type", "INTEGER"),
    ("TypeDescription", "TEXT"),
    ("Account", "TEXT"),
    ("AccountCode", "TEXT"),
    ("AccountName", "TEXT"),
    ("Manager", "TEXT"),
    ("ManagerFullname", "TEXT"),
    ("Created", "TEXT"),
    ("Creator", "TEXT"),
    ("Modified", "TEXT"),
    ("Modifier", "TEXT"),
    ("StartDate", "TEXT"),
    ("EndDate", "TEXT"),
    ("BudgetedAmount", "REAL"),
    ("BudgetedCosts", "REAL"),
    ("MarkupPercentage", "REAL"),
    ("Division", "INTEGER"),
    ("BlockEntry", "INTEGER"),
    ("HasWBSLines", "INTEGER"),
    ("Notes", "TEXT"),
    ("CustomField", "TEXT"),
];
/// How many pages one transaction takes, and how many may wait.
const PAGES_PER_TRANSACTION: usize = 5;
const PAGES_AHEAD: usize = 2;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    next: Option<Cow<'a, str>>,
}

enum Slot<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
}

impl<'de> Deserialize<'de> for Slot<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SlotVisitor)
    }
}

struct SlotVisitor;

impl<'de> serde::de::Visitor<'de> for SlotVisitor {
    type Value = Slot<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a plain value")
    }

    fn visit_unit<E>(self) -> Result<Slot<'de>, E> {
        Ok(Slot::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Slot<'de>, E> {
        Ok(Slot::Boolean(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Slot<'de>, E> {
        Ok(Slot::Integer(value.try_into().unwrap()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Slot<'de>, E> {
        Ok(Slot::Integer(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Slot<'de>, E> {
        Ok(Slot::Real(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Slot<'de>, E> {
        Ok(Slot::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Slot<'de>, E> {
        Ok(Slot::Text(Cow::Owned(value.to_owned())))
    }
}

impl rusqlite::ToSql for Slot<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, ValueRef};
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Boolean(value) => ToSqlOutput::Borrowed(ValueRef::Integer(i64::from(*value))),
            Self::Integer(value) => ToSqlOutput::Borrowed(ValueRef::Integer(*value)),
            Self::Real(value) => ToSqlOutput::Borrowed(ValueRef::Real(*value)),
            Self::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
        })
    }
}

/// Loads every page of the server at `address` into `database`.
pub(crate) fn load(address: &str, database: &Path) {
    let (ahead, arrived) = mpsc::sync_channel::<Vec<u8>>(PAGES_AHEAD);
    let address = address.to_owned();
    let fetching = std::thread::spawn(move || fetch(&address, &ahead));
    merge(&arrived, database);
    fetching.join().unwrap();
}

fn fetch(address: &str, ahead: &mpsc::SyncSender<Vec<u8>>) {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(&socket);
    let mut next = Some("/page/1".to_owned());
    while let Some(path) = next {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        (&socket).write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let envelope: Envelope<'_> = serde_json::from_slice(&body).unwrap();
        next = envelope.next.map(Cow::into_owned);
        ahead.send(body).unwrap();
    }
}

fn merge(arrived: &mpsc::Receiver<Vec<u8>>, database: &Path) {
    let mut connection = Connection::open(database).unwrap();
    connection
        .pragma_update(None, "journal_mode", "wal")
        .unwrap();
    connection
        .pragma_update(None, "synchronous", "normal")
        .unwrap();
    let columns: Vec<String> = COLUMNS
        .iter()
        .map(|(name, kind)| format!("{name} {kind}"))
        .collect();
    let create = format!(
        "CREATE TABLE IF NOT EXISTS project ({}) STRICT",
        columns.join(", ")
    );
    connection.execute_batch(&create).unwrap();
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    let sets: Vec<String> = names[1..]
        .iter()
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    let differs: Vec<String> = names[1..]
        .iter()
        .map(|name| format!("{name} IS NOT excluded.{name}"))
        .collect();
    let upsert = format!(
        "INSERT INTO project ({}) VALUES ({}) ON CONFLICT (ID) DO UPDATE SET {} WHERE {}",
        names.join(", "),
        vec!["?"; names.len()].join(", "),
        sets.join(", "),
        differs.join(" OR "),
    );
    while let Ok(first) = arrived.recv() {
        let tx = connection.transaction().unwrap();
        {
            let mut statement = tx.prepare_cached(&upsert).unwrap();
            let waiting = std::iter::from_fn(|| arrived.try_recv().ok());
            for body in std::iter::once(first).chain(waiting.take(PAGES_PER_TRANSACTION - 1)) {
                let envelope: Envelope<'_> = serde_json::from_slice(&body).unwrap();
                for item in envelope.items {
                    let slots = slots(item.get());
                    statement.execute(params_from_iter(slots)).unwrap();
                }
            }
        }
        tx.commit().unwrap();
    }
}

/// The values of a record in the order of [`COLUMNS`], which is the order the source keeps.
fn slots(record: &str) -> Vec<Slot<'_>> {
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Vec<Slot<'de>>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a record")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut slots = Vec::with_capacity(COLUMNS.len());
            while let Some(name) = map.next_key::<&str>()? {
                debug_assert_eq!(name, COLUMNS[slots.len()].0);
                slots.push(map.next_value()?);
            }
            Ok(slots)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(record);
    serde::Deserializer::deserialize_map(&mut deserializer, Visitor).unwrap()
}
