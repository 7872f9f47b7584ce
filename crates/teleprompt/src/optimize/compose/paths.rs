//! Which predictor of a teacher teaches which one of the student.

use std::collections::BTreeMap;
use std::sync::Arc;

use teleprompt_core::{Error, Record, Result, Signature};

/// The path of a predictor that is a whole program.
const LONE: &str = "predict";

/// For every predictor of the teacher that has one, the predictor of the student that learns from
/// it. Several may teach one, as the members of an ensemble do; one that teaches none is left out.
///
/// A teacher's predictor teaches the one of the same path, else the one with whose path its own
/// ends (`critic.answer` teaches `answer`; of several the longest path), else the one whose path is
/// the same without the wrappers around both: `inner` and `members[3]`, any number of them. A program
/// that is one predictor is `predict`, and in wrappers nothing but them.
/// It must have all fields that the student's needs: without them no demonstration would ever
/// [`fit`].
///
/// # Errors
/// [`Error::Config`]: a predictor of the student has no teacher. The message has both sets of paths.
///
/// ```
/// use teleprompt::optimize::compose::match_teacher;
/// let qa: teleprompt::Signature = "question -> answer".parse()?;
/// let teacher = [("members[0].inner".into(), qa.clone()), ("members[1].inner".into(), qa.clone())];
/// let matched = match_teacher(&[("predict".into(), qa)], &teacher)?;
/// assert_eq!(&*matched["members[1].inner"], "predict");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn match_teacher(
    student: &[(Arc<str>, Signature)],
    teacher: &[(Arc<str>, Signature)],
) -> Result<BTreeMap<Arc<str>, Arc<str>>> {
    let mut matched = BTreeMap::new();
    let mut unfit = Vec::new();
    for (path, signature) in teacher {
        let Some((taught, wanted)) = namesake(path, student) else { continue };
        match missing(signature, wanted) {
            None => {
                matched.insert(path.clone(), taught.clone());
            }
            Some(field) => unfit.push((path, taught, field)),
        }
    }
    let untaught = |(path, _): &&(Arc<str>, Signature)| !matched.values().any(|p| p == path);
    let Some((path, _)) = student.iter().find(untaught) else { return Ok(matched) };
    let why = match unfit.iter().find(|(_, taught, _)| *taught == path) {
        Some((from, _, field)) => format!("`{from}` would, but it has no field `{field}`"),
        None => "no path matches".into(),
    };
    Err(Error::Config(format!(
        "no predictor of the teacher teaches the student's `{path}`: {why}; the student has {}, the \
         teacher has {}; give a teacher whose predictors have the student's names and fields",
        paths(student),
        paths(teacher)
    )))
}

/// The fields of a demonstration that a predictor of this signature has, in its order; those it lacks
/// are dropped. `None`: one is missing, or null, that may not be.
pub fn fit(record: &Record, signature: &Signature) -> Option<Record> {
    let mut fitted = Record::with_capacity(record.len());
    for field in signature.fields() {
        match record.get(&field.name) {
            Some(value) if !value.is_null() => fitted.insert(field.name.clone(), value.clone()),
            _ if !field.ty.is_nullable(signature.defs()) => return None,
            Some(null) => fitted.insert(field.name.clone(), null.clone()),
            None => {}
        }
    }
    Some(fitted)
}

fn paths(predictors: &[(Arc<str>, Signature)]) -> String {
    match predictors {
        [] => "none".into(),
        all => all.iter().map(|(p, _)| format!("`{p}`")).collect::<Vec<_>>().join(", "),
    }
}

/// The student's predictor that goes by this path of the teacher.
fn namesake<'s>(
    path: &str,
    student: &'s [(Arc<str>, Signature)],
) -> Option<&'s (Arc<str>, Signature)> {
    let equal = || student.iter().find(|(s, _)| **s == *path);
    let ending = || {
        let all = student.iter().filter(|(s, _)| ends_with(path, s));
        all.max_by_key(|(s, _)| s.len())
    };
    let unwrapped = || student.iter().find(|(s, _)| bare(s) == bare(path));
    equal().or_else(ending).or_else(unwrapped)
}

/// Whether a path ends with another one as a whole.
fn ends_with(path: &str, end: &str) -> bool {
    let Some(before) = path.strip_suffix(end) else { return false };
    before.ends_with('.') || (!before.is_empty() && end.starts_with('['))
}

/// A path without the wrappers at its beginning.
fn bare(path: &str) -> &str {
    let mut rest = path;
    loop {
        let Some(after) = without_wrapper(rest) else { return rest };
        match after.strip_prefix('.') {
            Some(inside) => rest = inside,
            None if after.is_empty() => return LONE,
            None => return rest,
        }
    }
}

fn without_wrapper(path: &str) -> Option<&str> {
    if let Some(after) = path.strip_prefix("inner") {
        return Some(after);
    }
    let (number, after) = path.strip_prefix("members[")?.split_once(']')?;
    number.bytes().all(|b| b.is_ascii_digit()).then_some(after)
}

/// A field that a demonstration needs and that this signature does not have.
fn missing<'w>(has: &Signature, wanted: &'w Signature) -> Option<&'w str> {
    let needed = wanted.fields().filter(|f| !f.ty.is_nullable(wanted.defs()));
    needed.map(|f| &*f.name).find(|name| !has.fields().any(|f| f.name.as_ref() == *name))
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn wrappers_are_taken_off() {
        let table = [
            ("predict", "predict"),
            ("inner", "predict"),
            ("members[12]", "predict"),
            ("members[0].inner.members[3]", "predict"),
            ("inner.query", "query"),
            ("inner.hop[1].query", "hop[1].query"),
            ("inner[0]", "inner[0]"),
            ("innermost", "innermost"),
            ("innermost.query", "innermost.query"),
            ("members[x].query", "members[x].query"),
            ("answer.inner", "answer.inner"),
        ];
        for (path, expected) in table {
            assert_eq!(bare(path), expected, "{path}");
        }
    }
}
