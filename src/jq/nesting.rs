//! Finds definitions that hand functions on to themselves.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::path::{Part, Path};

/// Returns the name, at the place of the call, of the first definition in `term` that takes a
/// function and calls itself.
pub(super) fn find<'s>(term: &Term<&'s str>) -> Option<&'s str> {
    inside(term, &mut Vec::new())
}

/// A definition that takes a function: its name, and how many parameters it has.
type Taking<'s> = (&'s str, usize);

fn inside<'s>(term: &Term<&'s str>, around: &mut Vec<Taking<'s>>) -> Option<&'s str> {
    match term {
        Term::Call(name, arguments) if around.contains(&(*name, arguments.len())) => Some(name),
        Term::Call(_, arguments) => any(arguments, around),
        Term::Def(defs, inner) => defs
            .iter()
            .find_map(|def| inside_def(def, around))
            .or_else(|| inside(inner, around)),
        Term::Id
        | Term::Recurse
        | Term::Num(_)
        | Term::Var(_)
        | Term::Break(_)
        | Term::Arr(None) => None,
        Term::Str(_, parts) => parts.iter().find_map(|part| match part {
            StrPart::Term(term) => inside(term, around),
            StrPart::Str(_) | StrPart::Char(_) => None,
        }),
        Term::Arr(Some(inner)) | Term::Neg(inner) | Term::Label(_, inner) => inside(inner, around),
        Term::Obj(fields) => fields.iter().find_map(|(key, value)| {
            inside(key, around).or_else(|| inside(value.as_ref()?, around))
        }),
        Term::BinOp(left, operator, right) => inside(left, around)
            .or_else(|| match operator {
                BinaryOp::Pipe(Some(pattern)) => inside_pattern(pattern, around),
                _ => None,
            })
            .or_else(|| inside(right, around)),
        Term::Fold(_, over, pattern, parts) => inside(over, around)
            .or_else(|| inside_pattern(pattern, around))
            .or_else(|| any(parts, around)),
        Term::TryCatch(inner, catch) => {
            inside(inner, around).or_else(|| inside(catch.as_ref()?, around))
        }
        Term::IfThenElse(branches, otherwise) => branches
            .iter()
            .find_map(|(condition, then)| {
                inside(condition, around).or_else(|| inside(then, around))
            })
            .or_else(|| inside(otherwise.as_ref()?, around)),
        Term::Path(inner, Path(parts)) => inside(inner, around).or_else(|| {
            parts.iter().find_map(|(part, _)| match part {
                Part::Index(index) => inside(index, around),
                Part::Range(from, to) => {
                    let bounds = from.iter().chain(to);
                    bounds.into_iter().find_map(|bound| inside(bound, around))
                }
            })
        }),
    }
}

fn any<'s>(terms: &[Term<&'s str>], around: &mut Vec<Taking<'s>>) -> Option<&'s str> {
    terms.iter().find_map(|term| inside(term, around))
}

fn inside_pattern<'s>(pattern: &Pattern<&'s str>, around: &mut Vec<Taking<'s>>) -> Option<&'s str> {
    match pattern {
        Pattern::Var(_) => None,
        Pattern::Arr(parts) => parts.iter().find_map(|part| inside_pattern(part, around)),
        Pattern::Obj(parts) => parts
            .iter()
            .find_map(|(key, part)| inside(key, around).or_else(|| inside_pattern(part, around))),
    }
}

fn inside_def<'s>(def: &Def<&'s str>, around: &mut Vec<Taking<'s>>) -> Option<&'s str> {
    let takes_functions = def.args.iter().any(|name| !name.starts_with('$'));
    let outside = around.len();
    if takes_functions {
        around.push((def.name, def.args.len()));
    }
    let found = inside(&def.body, around);
    around.truncate(outside);
    found
}
