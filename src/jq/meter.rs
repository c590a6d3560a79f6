//! What keeps a program within bounds, as jaq itself has none.
//!
//! Before it is compiled, every definition of a program, and of the language, is made to take a
//! *step* where it may go round: at the beginning of each definition, with each value of `.[]`, `..`
//! and `range`, and with each turn of `reduce` and `foreach`. A step counts, looks how deep the stack
//! is and how large the value at hand, and halts the program for good: no `try` catches it.
//!
//! What no step sees is a function that is handed on from call to call and grows by each: dropping it
//! would use up the stack. [`nesting`] finds the definitions that could.

use jaq_core::box_iter::box_once;
use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::native::Fun;
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};
use jaq_core::{Cv, DataT, Exn, Native, ValXs, data::HasLut, native};
use jaq_json::{Num, Rc, Val};

use super::{Allowance, Error, WITHOUT, text};

/// How much stack a program may use; what runs it has a multiple of it.
const DEEPEST_STACK: usize = 6 << 20;
/// How deeply a value may be nested before a turn is refused, told from its first and its last parts.
const DEEPEST_VALUE: usize = 1_000;
/// The most bytes of a text.
pub(super) const LONGEST_TEXT: usize = 64_000_000;

const STEP: &str = "step!";
const CHECK: &str = "check!";
const TIMES: &str = "times!";
const RANGE: &str = "range!";
const FROM_JSON: &str = "fromjson!";
const SHALLOW: &str = "shallow!";
/// A variable that no program can name.
const FACTOR: &str = "$factor!";

/// The kind of data our programs work on: jaq's values, and the meter.
pub(super) enum Metered {}

type Lut = jaq_core::Lut<Metered>;

impl DataT for Metered {
    type V<'a> = Val;
    type Data<'a> = &'a Run<'a>;
}

/// One run of a program.
pub(super) struct Run<'a> {
    lut: &'a Lut,
    allowance: &'a Allowance,
    /// Where the stack was when the run began.
    top: usize,
}

impl<'a> HasLut<'a, Metered> for &'a Run<'a> {
    fn lut(&self) -> &'a Lut {
        self.lut
    }
}

/// Which bound was passed; the number travels through jaq as an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Steps = 1,
    Depth,
    Length,
    Time,
}

impl Over {
    pub(super) fn of_code(code: i32) -> Option<Self> {
        [Self::Steps, Self::Depth, Self::Length, Self::Time]
            .into_iter()
            .find(|over| *over as i32 == code)
    }

    pub(super) fn told(self, allowance: &Allowance) -> Error {
        match self {
            Self::Steps => Error::Endless(allowance.steps),
            Self::Depth => Error::Deep,
            Self::Length => Error::Long,
            Self::Time => Error::Stopped,
        }
    }

    fn halts<'a>(self) -> Exn<'a, Val> {
        Exn::halt(self as i32)
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(lut: &'a Lut, allowance: &'a Allowance) -> Self {
        Self {
            lut,
            allowance,
            top: stack_pointer(),
        }
    }

    fn step(&self, value: &Val) -> Result<(), Over> {
        let left = &self.allowance.left;
        left.set(left.get().checked_sub(1).ok_or(Over::Steps)?);
        if self.allowance.stop.is_told() {
            return Err(Over::Time);
        }
        if self.top.abs_diff(stack_pointer()) > DEEPEST_STACK || is_deep(value) {
            return Err(Over::Depth);
        }
        match value {
            Val::TStr(text) | Val::BStr(text) if text.len() > LONGEST_TEXT => Err(Over::Length),
            _ => Ok(()),
        }
    }
}

/// Returns about where the stack is.
#[inline(never)]
fn stack_pointer() -> usize {
    let mark = 0_u8;
    std::hint::black_box(&raw const mark).addr()
}

/// Returns true if a value is nested so deeply that dropping it could use up the stack. A value grows
/// deep by being put into another again and again, as its first or its last part as a rule.
fn is_deep(value: &Val) -> bool {
    fn goes_deep(value: &Val, part: fn(&Val) -> Option<&Val>) -> bool {
        std::iter::successors(Some(value), |value| part(value))
            .nth(DEEPEST_VALUE)
            .is_some()
    }
    goes_deep(value, first) || goes_deep(value, last)
}

fn first(value: &Val) -> Option<&Val> {
    match value {
        Val::Arr(items) => items.first(),
        Val::Obj(fields) => fields.first().map(|(_, value)| value),
        _ => None,
    }
}

fn last(value: &Val) -> Option<&Val> {
    match value {
        Val::Arr(items) => items.last(),
        Val::Obj(fields) => fields.last().map(|(_, value)| value),
        _ => None,
    }
}

/// The functions of the language that are not written in it.
pub(super) fn natives() -> impl Iterator<Item = Fun<Metered>> {
    let language = jaq_core::funs()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs())
        .map(|(name, arguments, native)| match (name, arguments.len()) {
            ("range", 3) => (RANGE, arguments, native),
            ("fromjson", 0) => (FROM_JSON, arguments, native),
            _ => (name, arguments, native),
        });
    let step = Native::new(|cv| box_once(stepped(cv)))
        .with_paths(|(context, (value, path))| {
            let stepped = context.data().step(&value).map_err(Over::halts);
            box_once(stepped.map(|()| (value, path)))
        })
        .with_update(|cv, update| match stepped(cv) {
            Ok(value) => update(value),
            Err(over) => box_once(Err(over)),
        });
    let check = Native::new(|cv| box_once(checked(cv)))
        .with_paths(|(mut context, at)| {
            let value = context.pop_var();
            let stepped = context.data().step(&value).map_err(Over::halts);
            box_once(stepped.map(|()| at))
        })
        .with_update(|cv, update| match checked(cv) {
            Ok(value) => update(value),
            Err(over) => box_once(Err(over)),
        });
    let own: [Fun<Metered>; 5] = [
        (STEP, native::v(0), step),
        (CHECK, native::v(1), check),
        (WITHOUT, native::v(1), Native::new(|cv| without(cv))),
        (TIMES, native::v(2), Native::new(|cv| times(cv))),
        (SHALLOW, native::v(0), Native::new(|cv| shallow(cv))),
    ];
    language.chain(own)
}

fn stepped<'a>((context, value): Cv<'a, Metered>) -> Result<Val, Exn<'a, Val>> {
    context.data().step(&value).map_err(Over::halts)?;
    Ok(value)
}

/// Takes the step with the value of a parameter rather than the value at hand.
fn checked<'a>((mut context, value): Cv<'a, Metered>) -> Result<Val, Exn<'a, Val>> {
    let parameter = context.pop_var();
    context.data().step(&parameter).map_err(Over::halts)?;
    Ok(value)
}

/// `l * r`; a text times a number is refused if it would be too long, before it is made.
fn times<'a>((mut context, _): Cv<'a, Metered>) -> ValXs<'a, Val> {
    let right = context.pop_var();
    let left = context.pop_var();
    let is_long = match (&left, &right) {
        (Val::TStr(text) | Val::BStr(text), Val::Num(times))
        | (Val::Num(times), Val::TStr(text) | Val::BStr(text)) => match times {
            Num::Int(times) => usize::try_from(*times)
                .is_ok_and(|times| text.len().saturating_mul(times) > LONGEST_TEXT),
            Num::BigInt(_) => true,
            Num::Float(_) | Num::Dec(_) => false,
        },
        _ => false,
    };
    match is_long {
        true => box_once(Err(Over::Length.halts())),
        false => native::bome(left * right),
    }
}

/// An object without some of its fields; any other value as it is.
fn without<'a>((mut context, value): Cv<'a, Metered>) -> ValXs<'a, Val> {
    let names = context.pop_var();
    box_once(Ok(match (value, names) {
        (Val::Obj(mut fields), Val::Arr(names)) => {
            Rc::make_mut(&mut fields).retain(|name, _| !names.contains(name));
            Val::Obj(fields)
        }
        (other, _) => other,
    }))
}

/// A text whose JSON is not too deep to be read.
fn shallow<'a>((_, value): Cv<'a, Metered>) -> ValXs<'a, Val> {
    match &value {
        Val::TStr(json) if text::is_nested(json) => box_once(Err(Over::Depth.halts())),
        _ => box_once(Ok(value)),
    }
}

/// The functions of the language that we have to write anew.
pub(super) fn defs<'s>() -> impl Iterator<Item = Def<&'s str>> {
    let call = |name, args| Term::Call(name, args);
    let argument = |name| Term::Var(name);
    let range = Def {
        name: "range",
        args: vec!["$from", "$to", "$by"],
        body: counted(call(
            RANGE,
            vec![argument("$from"), argument("$to"), argument("$by")],
        )),
    };
    let from_json = Def {
        name: "fromjson",
        args: Vec::new(),
        body: piped(call(SHALLOW, Vec::new()), call(FROM_JSON, Vec::new())),
    };
    [range, from_json].into_iter()
}

/// Makes a definition take its steps.
pub(super) fn metered_def(def: Def<&str>) -> Def<&str> {
    let begin = piped(step(), metered(def.body));
    let values = def.args.iter().filter(|name| name.starts_with('$'));
    let body = values.fold(begin, |body, name| {
        piped(Term::Call(CHECK, vec![Term::Var(*name)]), body)
    });
    Def { body, ..def }
}

fn metered<'s>(term: Term<&'s str>) -> Term<&'s str> {
    let all = |terms: Vec<Term<&'s str>>| terms.into_iter().map(metered).collect();
    match term {
        Term::Id | Term::Num(_) | Term::Var(_) | Term::Break(_) => term,
        Term::Recurse => counted(Term::Recurse),
        Term::Str(format, parts) => {
            let part = |part| match part {
                StrPart::Term(term) => StrPart::Term(metered(term)),
                plain => plain,
            };
            Term::Str(format, parts.into_iter().map(part).collect())
        }
        Term::Arr(inner) => Term::Arr(inner.map(boxed)),
        Term::Obj(fields) => {
            let field = |(key, value): (_, Option<_>)| (metered(key), value.map(metered));
            Term::Obj(fields.into_iter().map(field).collect())
        }
        Term::Neg(inner) => Term::Neg(boxed(inner)),
        Term::BinOp(left, BinaryOp::Math(Math::Mul), right) => {
            Term::Call(TIMES, vec![metered(*left), metered(*right)])
        }
        Term::BinOp(path, BinaryOp::UpdateMath(Math::Mul), factor) => {
            let product = Term::Call(TIMES, vec![Term::Id, Term::Var(FACTOR)]);
            let update = binary(metered(*path), BinaryOp::Update, product);
            let bind = BinaryOp::Pipe(Some(Pattern::Var(FACTOR)));
            binary(metered(*factor), bind, update)
        }
        Term::BinOp(left, operator, right) => {
            let operator = match operator {
                BinaryOp::Pipe(bound) => BinaryOp::Pipe(bound.map(metered_pattern)),
                other => other,
            };
            binary(metered(*left), operator, metered(*right))
        }
        Term::Label(name, inner) => Term::Label(name, boxed(inner)),
        Term::Fold(name, over, pattern, mut parts) => {
            // The parts are where it starts, what a turn makes of it, and what is shown.
            let shown = parts.split_off(parts.len().min(2)).into_iter().map(metered);
            let mut parts: Vec<_> = all(parts);
            if let Some(turn) = parts.pop() {
                parts.push(counted(turn));
            }
            parts.extend(shown);
            Term::Fold(name, boxed(over), metered_pattern(pattern), parts)
        }
        Term::TryCatch(inner, catch) => Term::TryCatch(boxed(inner), catch.map(boxed)),
        Term::IfThenElse(branches, otherwise) => {
            let branch = |(condition, then)| (metered(condition), metered(then));
            Term::IfThenElse(
                branches.into_iter().map(branch).collect(),
                otherwise.map(boxed),
            )
        }
        Term::Def(defs, inner) => {
            Term::Def(defs.into_iter().map(metered_def).collect(), boxed(inner))
        }
        Term::Call(name, arguments) => Term::Call(name, all(arguments)),
        Term::Path(inner, Path(parts)) => {
            let goes_round = parts
                .iter()
                .any(|(part, _)| matches!(part, Part::Range(None, None)));
            let part = |(part, optional)| {
                let part = match part {
                    Part::Index(index) => Part::Index(metered(index)),
                    Part::Range(from, to) => Part::Range(from.map(metered), to.map(metered)),
                };
                (part, optional)
            };
            let path = Term::Path(boxed(inner), Path(parts.into_iter().map(part).collect()));
            if goes_round { counted(path) } else { path }
        }
    }
}

fn metered_pattern(pattern: Pattern<&str>) -> Pattern<&str> {
    match pattern {
        Pattern::Var(name) => Pattern::Var(name),
        Pattern::Arr(parts) => Pattern::Arr(parts.into_iter().map(metered_pattern).collect()),
        Pattern::Obj(parts) => {
            let part = |(key, part)| (metered(key), metered_pattern(part));
            Pattern::Obj(parts.into_iter().map(part).collect())
        }
    }
}

#[allow(clippy::boxed_local, reason = "what comes boxed goes boxed")]
fn boxed(term: Box<Term<&str>>) -> Box<Term<&str>> {
    Box::new(metered(*term))
}

fn step<'s>() -> Term<&'s str> {
    Term::Call(STEP, Vec::new())
}

/// `term | step!`
fn counted(term: Term<&str>) -> Term<&str> {
    piped(term, step())
}

fn piped<'s>(left: Term<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
    binary(left, BinaryOp::Pipe(None), right)
}

fn binary<'s>(
    left: Term<&'s str>,
    operator: BinaryOp<&'s str>,
    right: Term<&'s str>,
) -> Term<&'s str> {
    Term::BinOp(Box::new(left), operator, Box::new(right))
}
