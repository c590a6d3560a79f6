//! jq programs, as the configuration writes them where a path does not say enough.
//!
//! The language is jq's as jaq speaks it, with numbers that keep their digits: a decimal or a long
//! integer that a program only moves comes out as it went in, while arithmetic is that of 64-bit
//! floating point (integers stay whole).
//!
//! A program sees its input and nothing else: no environment, clock, time zone of this machine,
//! files or log. What it may use up is bounded by an [`Allowance`], and [`apart`] keeps it off the
//! threads that everything else runs on, so neither `def f: f; f` nor `repeat(1)` can hang us.

mod meter;
mod nesting;
mod text;

use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use jaq_core::load::lex::Lexer;
use jaq_core::load::parse::{Def, Expect, Parser, Term};
use jaq_core::load::{Arena, File, Loader, span};
use jaq_core::{Compiler, Ctx, Vars};
use jaq_json::Val;
use tokio::sync::oneshot;

use self::meter::{Metered, Over, Run};

/// The most steps the programs of one page may take: seconds of a busy machine. A step is a call or a
/// value of a loop. Reshaping a hundred thousand records takes a few million.
pub const STEPS: u64 = 50_000_000;
/// The stack of a thread that runs programs. It must leave room beyond what [`meter`] allows, for
/// values that are taken apart at the end of the deepest call.
const STACK: usize = 16 << 20;
/// How much of a program's own message is kept: it may quote the whole input. Whoever shows it cuts it
/// further.
const KEPT: usize = 4_096;
/// What the program is called among the definitions of the language.
const MAIN: &str = "__program__";
/// A function of ours that gives an object without the fields named in an array, the others in their
/// order. jq's own `del` moves the last field to the place that becomes free, and taking an object apart
/// to put it together again is slow.
pub const WITHOUT: &str = "__without";
/// What jq has and a program here does not, because it reaches beyond the input.
const ABSENT: [&str; 12] = [
    "env",
    "now",
    "localtime",
    "strflocaltime",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
    "halt",
    "halt_error",
    "input",
    "inputs",
];

/// A program, checked and compiled.
#[derive(Clone)]
pub struct Program {
    source: Arc<str>,
    filter: Arc<jaq_core::Filter<Metered>>,
}

/// Why text is no program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// Where in the program's text, in bytes.
    pub range: Range<usize>,
}

/// Why a program has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input is no JSON.
    #[error("its input is not valid JSON at line {line}, column {column}")]
    NotJson {
        /// The line, from 1.
        line: usize,
        /// The byte of the line, from 1.
        column: usize,
    },
    /// The input is nested so deeply that no program could go through it.
    #[error("its input is nested more than {} levels deep", text::DEEPEST)]
    Nested,
    /// The program itself failed. Only the beginning of its message is kept: it may quote the input.
    #[error("{0}")]
    Failed(String),
    /// A result has no spelling in JSON.
    #[error("a result is {0}, which JSON does not have")]
    NoJson(&'static str),
    /// It goes on and on.
    #[error("stopped after {0} steps; it may never end")]
    Endless(u64),
    /// It calls itself too deeply.
    #[error("it calls itself, or nests a value, too deeply")]
    Deep,
    /// A text it makes is too long.
    #[error("it makes a text of more than {} MB", meter::LONGEST_TEXT / 1_000_000)]
    Long,
    /// It has too many results.
    #[error("it has more than {0} results")]
    Outputs(usize),
    /// Its results are too long together.
    #[error("its results are longer than {0} bytes")]
    Bytes(usize),
    /// Nobody waits for the result any more.
    #[error("it was stopped")]
    Stopped,
}

/// A word to stop, for programs that are under way on another thread.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

/// What programs may use up together.
#[derive(Debug)]
pub struct Allowance {
    /// The most results.
    outputs: usize,
    /// The most bytes of results.
    bytes: usize,
    steps: u64,
    left: Cell<u64>,
    stop: Stop,
}

/// Results as JSON texts, one behind the other, each on a line of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outputs {
    /// The texts.
    pub text: Vec<u8>,
    /// Where each of them stands.
    pub ranges: Vec<Range<usize>>,
}

impl Program {
    /// Reads a program.
    ///
    /// # Errors
    /// If the text is no program, or uses something that does not exist here.
    pub fn parse(source: &str) -> Result<Self, Problem> {
        let main = Def {
            name: MAIN,
            args: Vec::new(),
            body: parsed(source)?,
        };
        let prelude = jaq_core::defs()
            .chain(jaq_std::defs())
            .chain(jaq_json::defs())
            .filter(|def| !ABSENT.contains(&def.name))
            .map(borrowed);
        let defs = meter::defs().chain(prelude).chain([main]);
        let whole = File {
            code: MAIN,
            path: (),
        };
        let arena = Arena::default();
        let modules = Loader::new(defs.map(meter::metered_def)).load(&arena, whole);
        let Ok(modules) = modules else {
            return Err(Problem::whole(source, "is no program"));
        };
        let natives = meter::natives().filter(|(name, ..)| !ABSENT.contains(name));
        let filter = Compiler::default()
            .with_funs(natives)
            .compile(modules)
            .map_err(|errors| {
                let mut undefined = errors.into_iter().flat_map(|(_, errors)| errors);
                match undefined.next() {
                    Some((name, kind)) => Problem::undefined(source, name, kind.as_str()),
                    None => Problem::whole(source, "is no program"),
                }
            })?;
        Ok(Self {
            source: source.into(),
            filter: Arc::new(filter),
        })
    }

    /// Returns the text as the configuration has it.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Runs the program on one JSON text and adds its results to `outputs`.
    ///
    /// This may take seconds and needs much of the stack: call it within [`apart`].
    ///
    /// # Errors
    /// If the input is no JSON, the program fails, or the allowance is used up.
    pub fn run(
        &self,
        input: &str,
        allowance: &Allowance,
        outputs: &mut Outputs,
    ) -> Result<(), Error> {
        self.each(input, allowance, |value| {
            if outputs.ranges.len() == allowance.outputs {
                return Err(Error::Outputs(allowance.outputs));
            }
            let begin = outputs.text.len();
            text::write(&value, &mut outputs.text)?;
            outputs.ranges.push(begin..outputs.text.len());
            outputs.text.push(b'\n');
            match outputs.text.len() > allowance.bytes {
                true => Err(Error::Bytes(allowance.bytes)),
                false => Ok(()),
            }
        })
    }

    /// Returns true if the program has a result and the last one is neither `false` nor `null`.
    ///
    /// This may take seconds and needs much of the stack: call it within [`apart`].
    ///
    /// # Errors
    /// If the input is no JSON, the program fails, or the allowance is used up.
    pub fn test(&self, input: &str, allowance: &Allowance) -> Result<bool, Error> {
        let mut holds = false;
        self.each(input, allowance, |value| {
            holds = !matches!(value, Val::Null | Val::Bool(false));
            Ok(())
        })?;
        Ok(holds)
    }

    fn each(
        &self,
        input: &str,
        allowance: &Allowance,
        mut take: impl FnMut(Val) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let input = text::read(input)?;
        let run = Run::new(&self.filter.lut, allowance);
        let context = Ctx::<Metered>::new(&run, Vars::new([]));
        for result in self.filter.id.run((context, input)) {
            let value = result.map_err(|exception| match exception.get_err() {
                Ok(error) => Error::Failed(shortened(&said(error))),
                Err(other) => match other.get_halt().ok().and_then(Over::of_code) {
                    Some(over) => over.told(allowance),
                    None => Error::Failed("it breaks out of nothing".to_owned()),
                },
            })?;
            take(value)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.source).finish()
    }
}

/// Programs are what they are written as.
impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Program {}

impl Problem {
    fn at(source: &str, part: &str, message: String) -> Self {
        Self {
            message,
            range: span(source, part),
        }
    }

    fn whole(source: &str, message: &str) -> Self {
        Self::at(source, source, message.to_owned())
    }

    fn undefined(source: &str, name: &str, kind: &str) -> Self {
        let message = if ABSENT.contains(&name) || name == "$ENV" {
            format!("`{name}` does not exist here: a program sees its input and nothing else")
        } else {
            match kind {
                "filter" => {
                    format!("there is no function `{name}` with this number of arguments")
                }
                kind => format!("there is no {kind} `{name}`"),
            }
        };
        let inside = source.as_bytes().as_ptr_range();
        match inside.contains(&name.as_ptr()) {
            true => Self::at(source, name, message),
            false => Self::whole(source, &message),
        }
    }
}

impl Stop {
    /// Tells whoever holds a clone to stop.
    pub fn tell(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_told(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Allowance {
    /// Allows [`STEPS`] steps, and that many results and bytes of results.
    #[must_use]
    pub fn new(outputs: usize, bytes: usize, stop: &Stop) -> Self {
        Self {
            outputs,
            bytes,
            steps: STEPS,
            left: Cell::new(STEPS),
            stop: stop.clone(),
        }
    }

    /// Allows fewer steps, or more.
    #[must_use]
    pub fn with_steps(self, steps: u64) -> Self {
        Self {
            steps,
            left: Cell::new(steps),
            ..self
        }
    }
}

/// Runs `work` on a thread of its own and returns its result.
///
/// If nobody waits for the result any more, because the run was stopped or took too long, `work` is
/// told to stop; the thread ends with the program's next step. It is no thread of the async runtime,
/// which would wait for it when the service stops.
///
/// # Panics
/// If `work` does, or if the machine has no more threads.
pub async fn apart<T: Send + 'static>(work: impl FnOnce(&Stop) -> T + Send + 'static) -> T {
    struct Waiting(Stop);
    impl Drop for Waiting {
        fn drop(&mut self) {
            self.0.tell();
        }
    }
    let waiting = Waiting(Stop::default());
    let stop = waiting.0.clone();
    let (tell, told) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("jq".to_owned())
        .stack_size(STACK)
        // Nobody listens only if nobody waits any more.
        .spawn(move || drop(tell.send(work(&stop))));
    let thread = match thread {
        Ok(thread) => thread,
        Err(error) => panic!("no thread to run a jq program on: {error}"),
    };
    match told.await {
        Ok(result) => result,
        Err(_) => match thread.join() {
            Err(panicked) => panic::resume_unwind(panicked),
            Ok(()) => unreachable!("the thread ended without a result"),
        },
    }
}

fn parsed(source: &str) -> Result<Term<&str>, Problem> {
    let tokens = Lexer::new(source).lex().map_err(|errors| {
        let first = errors.into_iter().next();
        match first {
            Some((expected, rest)) => {
                let begin = rest.chars().next().map_or(0, char::len_utf8);
                let message = format!("expected {}", expected.as_str());
                Problem::at(source, &rest[..begin], message)
            }
            None => Problem::whole(source, "is no program"),
        }
    })?;
    let term = Parser::new(&tokens).parse(|parser| parser.term());
    let term = term.map_err(|errors| match errors.into_iter().next() {
        Some((expected, found)) => {
            let end = &source[source.len()..];
            let part = found.map_or(end, |token| token.0);
            let expected = match expected {
                Expect::Nothing => "the end of the program",
                other => other.as_str(),
            };
            Problem::at(source, part, format!("expected {expected}"))
        }
        None => Problem::whole(source, "is no program"),
    })?;
    match nesting::find(&term) {
        Some(name) => Err(Problem::at(
            source,
            name,
            format!(
                "`{name}` calls itself and takes a function, which nests without end; put what \
                 calls itself inside, as in `def {name}(g): def again: g | again; again`"
            ),
        )),
        None => Ok(term),
    }
}

/// Lets a definition of the language stand among those of a program.
fn borrowed<'s>(def: Def<&'static str>) -> Def<&'s str> {
    def
}

/// Returns what a program says it failed of, text without its quotes.
fn said(error: jaq_core::Error<Val>) -> String {
    match error.into_val() {
        Val::TStr(text) => String::from_utf8_lossy(&text).into_owned(),
        other => other.to_string(),
    }
}

fn shortened(message: &str) -> String {
    if message.len() <= KEPT {
        return message.to_owned();
    }
    format!("{}…", &message[..message.floor_char_boundary(KEPT)])
}

#[cfg(test)]
mod tests;
