//! Made-up projects, shaped like Exact Online's: a GUID key, names, flags, amounts, dates.

use std::fmt::Write;
use std::sync::Arc;

/// The fields of one record.
pub(crate) const FIELDS: usize = 24;
const PER_PAGE: usize = 1_000;

/// All records of the source, as the state of a small generator.
pub(crate) struct Records {
    rows: usize,
    version: usize,
}

impl Records {
    pub(crate) fn new(rows: usize) -> Self {
        Self { rows, version: 0 }
    }

    pub(crate) fn change_one_in_a_hundred(&mut self) {
        self.version += 1;
    }

    pub(crate) fn pages(&self) -> usize {
        self.rows.div_ceil(PER_PAGE)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bodies().iter().map(|body| body.len()).sum()
    }

    /// The body of each page; the address of the next is relative.
    pub(crate) fn bodies(&self) -> Arc<Vec<Vec<u8>>> {
        let body = |page: usize| {
            let mut text = String::from("{\"items\":[");
            let first = page * PER_PAGE;
            for row in first..(first + PER_PAGE).min(self.rows) {
                if row > first {
                    text.push(',');
                }
                self.record(row, &mut text);
            }
            let next = match page + 1 < self.pages() {
                true => format!("\"/page/{}\"", page + 2),
                false => "null".to_owned(),
            };
            write!(text, "],\"next\":{next}}}").unwrap();
            text.into_bytes()
        };
        Arc::new((0..self.pages()).map(body).collect())
    }

    fn record(&self, row: usize, text: &mut String) {
        let version = if row % 100 == 7 { self.version } else { 0 };
        // Spread over the key space, as GUIDs are: neighbours in time are not neighbours in the index.
        let mixed = (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let guid = |salt: u64| {
            let bits = mixed ^ salt.wrapping_mul(0xd1b5_4a32_d192_ed03);
            format!(
                "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
                bits >> 32,
                bits >> 16 & 0xffff,
                bits & 0xfff,
                bits >> 8 & 0xfff,
                bits >> 4 & 0xffff_ffff_ffff
            )
        };
        let millis = 1_640_995_200_000 + (row as u64) * 61_000 + version as u64;
        write!(
            text,
            r#"{{"ID":"{}","Code":"P{row:08}","Description":"Project {row} of Köln, version {version}","Type":{},"TypeDescription":"Time and material","Account":"{}","AccountCode":"        {:010}","AccountName":"Société {} & Søn","Manager":"{}","ManagerFullname":"José Ångström","Created":"/Date({millis})/","Creator":"{}","Modified":"/Date({millis})/","Modifier":"{}","StartDate":"/Date(1640995200000)/","EndDate":null,"BudgetedAmount":{}.{:02},"BudgetedCosts":{}.5,"MarkupPercentage":0.{:02},"Division":123456,"BlockEntry":{},"HasWBSLines":false,"Notes":"Line one\nline two of the notes, with \"quotes\" and some more words to read","CustomField":null}}"#,
            guid(0),
            row % 5 + 1,
            guid(1),
            row % 977,
            row % 977,
            guid(2),
            guid(3),
            guid(4),
            row * 3 % 100_000,
            row % 100,
            row % 5_000,
            row % 99 + 1,
            row.is_multiple_of(3),
        )
        .unwrap();
    }
}
