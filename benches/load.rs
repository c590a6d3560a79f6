//! How fast a table is loaded, beside the floor: what fetching, parsing and SQLite cost at least.
//!
//! `cargo bench --bench load [-- --rows N] [--rounds N]` serves pages of 1,000 records from this
//! process, and has them loaded by the real program and by the floor in turn, each as a process of
//! its own: first load, unchanged, one row in a hundred changed. Figures are medians over the
//! rounds; trust the ratios, which come from one run on one machine.
//!
//! `cargo bench --bench load -- --shapes` loads the same records in each way that does not stream, and
//! shows how many times as long that takes as streaming them.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its figures"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on should stop where it is"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures the machine's own time"
)]
#![allow(missing_docs, reason = "a benchmark has no readers of its interface")]

#[path = "load/floor.rs"]
mod floor;
#[path = "load/records.rs"]
mod records;
#[path = "load/server.rs"]
mod server;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use records::Records;
use server::Server;

const ROWS: usize = 100_000;
const ROUNDS: usize = 5;
/// The ways to read the same records, streaming first.
const SHAPES: [(&str, &str); 5] = [
    ("streamed", "records = \"items\""),
    ("RFC 9535", "records = \"$.items[?@.ID]\""),
    ("records.jq", "records = { jq = \".items[]\" }"),
    ("filter", "records = \"items\"\nfilter = \".ID != null\""),
    (
        "filter, compute",
        "records = \"items\"\nfilter = \".ID != null\"\ncompute = { Twice = \".BudgetedAmount * 2\" }",
    ),
];
/// How often a child's peak memory is read; what it uses in its last moment may be missed.
const LOOK: Duration = Duration::from_millis(2);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [verb, address, database] = &words[..]
        && verb == "floor"
    {
        return floor::load(address, Path::new(database));
    }
    let number = |name: &str, default| {
        let at = words.iter().position(|word| word == name);
        at.and_then(|at| words.get(at + 1)?.parse().ok())
            .unwrap_or(default)
    };
    let (rows, rounds) = (number("--rows", ROWS), number("--rounds", ROUNDS));
    if words.iter().any(|word| word == "--shapes") {
        return shapes(rows, rounds);
    }
    let mut figures: Vec<[[Figure; 2]; 3]> = Vec::new();
    let records = Records::new(rows);
    println!(
        "{rows} records of {} fields, {} bytes each, in {} pages; {rounds} rounds",
        records::FIELDS,
        records.bytes() / rows,
        records.pages(),
    );
    for _ in 0..rounds {
        figures.push(round(rows));
    }
    println!(
        "{:<14} {:>12} {:>12} {:>7} {:>10} {:>10}",
        "", "tidegate", "floor", "ratio", "peak", "peak"
    );
    for (index, what) in ["first load", "unchanged", "1 % changed"]
        .iter()
        .enumerate()
    {
        let median = |who: usize, of: fn(&Figure) -> f64| {
            let mut all: Vec<f64> = figures.iter().map(|round| of(&round[index][who])).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let speed = |who| rows as f64 / median(who, |figure| figure.seconds);
        let peak = |who| median(who, |figure| figure.peak_mib);
        println!(
            "{what:<14} {:>8.0} r/s {:>8.0} r/s {:>7.2} {:>6.1} MiB {:>6.1} MiB",
            speed(0),
            speed(1),
            speed(0) / speed(1),
            peak(0),
            peak(1),
        );
    }
}

/// Loads the same records in every way, in turn, each time into a new database.
fn shapes(rows: usize, rounds: usize) {
    let mut seconds = [(); SHAPES.len()].map(|()| Vec::new());
    for _ in 0..rounds {
        for (seconds, (_, records)) in seconds.iter_mut().zip(SHAPES) {
            let directory = tempfile::tempdir().unwrap();
            let server = Server::start();
            server.serve(Records::new(rows).bodies());
            let config = directory.path().join("tidegate.toml");
            std::fs::write(&config, config_text(server.address(), records)).unwrap();
            run(tidegate(&config).args(["vault", "init"]));
            seconds.push(run(tidegate(&config).arg("--run-now")).seconds);
        }
    }
    let medians = seconds.map(|mut seconds: Vec<f64>| {
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    });
    for ((name, _), median) in SHAPES.iter().zip(medians) {
        println!(
            "{name:<16} {:>8.0} r/s {:>7.2} times as long",
            rows as f64 / median,
            median / medians[0]
        );
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Figure {
    seconds: f64,
    peak_mib: f64,
}

/// One round: both programs through the three loads, in turn, each with a database of its own.
fn round(rows: usize) -> [[Figure; 2]; 3] {
    let mut records = Records::new(rows);
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start();
    let config = directory.path().join("tidegate.toml");
    std::fs::write(&config, config_text(server.address(), SHAPES[0].1)).unwrap();
    run(tidegate(&config).args(["vault", "init"]));
    let floor_database = directory.path().join("floor.db");
    let mut figures = [[Figure::default(); 2]; 3];
    for (step, figures) in figures.iter_mut().enumerate() {
        if step == 2 {
            records.change_one_in_a_hundred();
        }
        server.serve(records.bodies());
        figures[0] = run(tidegate(&config).arg("--run-now"));
        let mut floor = Command::new(std::env::current_exe().unwrap());
        figures[1] = run(floor
            .arg("floor")
            .arg(server.address())
            .arg(&floor_database));
        compare(
            &directory.path().join("tidegate-state/tidegate.db"),
            &floor_database,
        );
    }
    figures
}

fn tidegate(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.arg("--config").arg(config);
    command
}

fn config_text(address: &str, records: &str) -> String {
    format!(
        "[connection.source]\nbase_url = \"http://{address}\"\n\n\
         [flow.project]\nconnection = \"source\"\nurl = \"/page/1\"\n{records}\n\
         paging = {{ style = \"next_url\", path = \"next\" }}\nkey = [\"ID\"]\n"
    )
}

fn run(command: &mut Command) -> Figure {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let mut peak_kib = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        peak_kib = peak(child.id()).unwrap_or(peak_kib);
        std::thread::sleep(LOOK);
    };
    let seconds = began.elapsed().as_secs_f64();
    assert!(status.success(), "{command:?} ended with {status}");
    Figure {
        seconds,
        peak_mib: peak_kib as f64 / 1024.0,
    }
}

/// The most memory a process has had resident, in KiB.
fn peak(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Both tables must hold the same rows, or the figures mean nothing.
fn compare(ours: &Path, floors: &Path) {
    let sums = |path: &Path| -> (i64, i64, f64) {
        let connection = rusqlite::Connection::open(path).unwrap();
        let sql = "SELECT count(*), sum(length(Description)), sum(BudgetedAmount) FROM project";
        connection
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
    };
    assert_eq!(sums(ours), sums(floors));
}
