//! What a source is asked and answers, as a script says it.
//!
//! ```text
//! # A remark.
//! base /api/1.0                         the path of the connection's base URL
//! host https://files.example            another host of the example that is played, too
//!
//! run task                              runs the flow `task`, which must succeed
//! run task at 2026-01-06T08:00:00Z      the same, at a moment
//! run task ends 1                       the same, but the program must end so
//! > GET /tasks?since=2026-01-01         what is asked, its percent-encoding taken out
//! > x-tenant: a                         a header that it must have
//! > {"since":"2026"}                    its body, as JSON
//! < 200                                 what is answered, after it a body that ends with an empty line
//! < link: <{url}/2>; rel="next"         {url} stands for the server
//! {"items":[
//! * 1..200 {"id":{n}}                   200 records, with commas between them
//! ]}
//!
//! rows SELECT id, name FROM task        what the table holds then; a row a line, nothing is `null`
//! 1|Ann
//! ```

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// A whole script.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// The path of the base URL.
    pub(crate) base: String,
    /// Hosts of the example that the server plays.
    pub(crate) hosts: Vec<String>,
    /// What happens, in order.
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug)]
pub(crate) enum Step {
    Run(Run),
    Rows { sql: String, rows: Vec<String> },
}

/// One run, and what is asked in it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) flow: String,
    pub(crate) at: Option<String>,
    pub(crate) code: i32,
    pub(crate) exchanges: Vec<Exchange>,
}

/// One request and its answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exchange {
    /// The method and the target.
    pub(crate) line: String,
    /// Headers that must be there, as `name: value`.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Option<Value>,
    pub(crate) status: u16,
    pub(crate) answer_headers: Vec<String>,
    pub(crate) answer: String,
}

/// Takes percent-encoding out of a request line, so that scripts can be read, and puts its parameters
/// in the order of their names: a test that re-writes a configuration does not keep its order.
pub(crate) fn plain(line: &str) -> String {
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let Some((path, query)) = line.split_once('?') else {
        return plain(line);
    };
    let mut pairs: Vec<String> = query.split('&').map(plain).collect();
    pairs.sort();
    format!("{}?{}", plain(path), pairs.join("&"))
}

/// Writes out a line of an answer that stands for many.
fn repeated(line: &str) -> String {
    let Some((range, text)) = line
        .strip_prefix("* ")
        .and_then(|rest| rest.split_once(' '))
    else {
        return line.to_owned();
    };
    let (first, last) = range.split_once("..").unwrap();
    let numbers = first.parse::<u32>().unwrap()..=last.parse().unwrap();
    let lines = numbers.map(|number| text.replace("{n}", &number.to_string()));
    lines.collect::<Vec<_>>().join(",")
}

impl Script {
    /// Reads a script; what is wrong with it fails the test.
    pub(crate) fn read(text: &str) -> Self {
        let mut script = Self::default();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "" | "#" => {}
                "base" => rest.trim().clone_into(&mut script.base),
                "host" => script.hosts.push(rest.trim().to_owned()),
                "run" => script.steps.push(Step::Run(Run::read(rest))),
                "rows" => {
                    let mut rows = Vec::new();
                    while let Some(row) = lines.next_if(|line| !line.is_empty()) {
                        rows.push(row.to_owned());
                    }
                    let sql = rest.to_owned();
                    script.steps.push(Step::Rows { sql, rows });
                }
                ">" => {
                    let mut exchange = Exchange {
                        line: plain(rest),
                        ..Exchange::default()
                    };
                    while let Some(line) = lines.next_if(|line| line.starts_with("> ")) {
                        exchange.expect(&line[2..]);
                    }
                    while let Some(line) = lines.next_if(|line| line.starts_with("< ")) {
                        exchange.answers(&line[2..]);
                    }
                    while let Some(line) = lines.next_if(|line| !line.is_empty()) {
                        exchange.answer += &repeated(line);
                        exchange.answer.push('\n');
                    }
                    assert_ne!(exchange.status, 0, "no answer: {line}");
                    script.run_under_way().exchanges.push(exchange);
                }
                _ => panic!("what is this? {line}"),
            }
        }
        script
    }

    fn run_under_way(&mut self) -> &mut Run {
        match self.steps.last_mut() {
            Some(Step::Run(run)) => run,
            _ => panic!("a request stands behind no `run`"),
        }
    }
}

impl Run {
    fn read(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let flow = words.next().expect("`run` names a flow").to_owned();
        let mut run = Self {
            flow,
            at: None,
            code: 0,
            exchanges: Vec::new(),
        };
        while let (Some(word), Some(value)) = (words.next(), words.next()) {
            match word {
                "at" => run.at = Some(value.to_owned()),
                "ends" => run.code = value.parse().unwrap(),
                _ => panic!("what is this? run {text}"),
            }
        }
        run
    }
}

impl Exchange {
    fn expect(&mut self, line: &str) {
        if line.starts_with(['{', '[']) {
            self.body =
                Some(serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")));
        } else {
            self.headers.push(line.to_owned());
        }
    }

    fn answers(&mut self, line: &str) {
        match line.parse() {
            Ok(status) if self.status == 0 => self.status = status,
            _ => self.answer_headers.push(line.to_owned()),
        }
    }
}
