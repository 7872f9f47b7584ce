//! Whether the values of one type can be given to a field of another.

use serde_json::Value;
use teleprompt_core::{Kind, ObjectField, Type, TypeDefs};

/// Whether every value of `from`, `null` aside, can be the value of a field of type `to`.
///
/// Limits of numbers, lengths and patterns are not compared: they are there for replies.
pub(super) fn fits(from: &Type, to: &Type, defs: &TypeDefs) -> bool {
    let mut assumed = Vec::new();
    becomes_text(from, to, defs, 0) || same(from, to, &mut Fit { defs, assumed: &mut assumed })
}

/// The first of some types that all of them fit without a change of their values.
pub(super) fn widest<'t>(types: &[&'t Type], defs: &TypeDefs) -> Option<&'t Type> {
    let all_fit = |to: &Type| {
        types.iter().all(|from| same(from, to, &mut Fit { defs, assumed: &mut Vec::new() }))
    };
    types.iter().copied().find(|to| all_fit(to))
}

/// Definitions cannot nest without end, but they can be long; text is decided before that.
const DEEP: usize = 32;

/// Scalars may go into text fields; [`to_text`] makes them text.
fn becomes_text(from: &Type, to: &Type, defs: &TypeDefs, depth: usize) -> bool {
    let deeper = |from: &Type, to: &Type| depth < DEEP && becomes_text(from, to, defs, depth + 1);
    match (&from.kind, &to.kind) {
        (_, Kind::Optional(inner)) => deeper(from, inner),
        (_, Kind::Ref(name)) => defs.get(name).is_some_and(|to| deeper(from, to)),
        (Kind::Optional(inner), _) => deeper(inner, to),
        (Kind::Ref(name), _) => defs.get(name).is_some_and(|from| deeper(from, to)),
        (Kind::Union(arms), Kind::Str) => arms.iter().all(|arm| deeper(arm, to)),
        (Kind::Int | Kind::Float | Kind::Bool | Kind::Date | Kind::Enum(_), Kind::Str) => true,
        (Kind::Any | Kind::Str, Kind::Str) => true,
        _ => false,
    }
}

/// A value for a text field: its JSON text, unless it is text or nothing.
pub(super) fn to_text(value: &Value) -> Value {
    match value {
        Value::String(_) | Value::Null => value.clone(),
        other => Value::String(other.to_string()),
    }
}

/// Whether a field of this type takes text and nothing else.
pub(super) fn is_text(ty: &Type, defs: &TypeDefs) -> bool {
    match &ty.kind {
        Kind::Str => true,
        Kind::Optional(inner) => is_text(inner, defs),
        Kind::Ref(name) => defs.get(name).is_some_and(|ty| is_text(ty, defs)),
        _ => false,
    }
}

struct Fit<'d, 'a> {
    defs: &'d TypeDefs,
    /// Pairs of names under comparison: a recursive type fits itself.
    assumed: &'a mut Vec<(Type, Type)>,
}

fn same(from: &Type, to: &Type, fit: &mut Fit<'_, '_>) -> bool {
    if from == to {
        return true;
    }
    if matches!(from.kind, Kind::Ref(_)) || matches!(to.kind, Kind::Ref(_)) {
        return named(from, to, fit);
    }
    match (&from.kind, &to.kind) {
        (_, Kind::Any) => true,
        (_, Kind::Enum(_)) => {
            let allowed = to.choices().unwrap_or_default();
            from.choices().is_some_and(|values| values.iter().all(|v| allowed.contains(v)))
        }
        (Kind::Optional(inner), _) => same(inner, to, fit),
        (Kind::Union(arms), _) => arms.iter().all(|arm| same(arm, to, fit)),
        (_, Kind::Optional(inner)) => same(from, inner, fit),
        (_, Kind::Union(arms)) => arms.iter().any(|arm| same(from, arm, fit)),
        (Kind::Enum(values), _) => values.iter().all(|v| scalar_fits(v, &to.kind)),
        (Kind::Int, Kind::Float) => true,
        (Kind::List(a), Kind::List(b)) | (Kind::Dict(a), Kind::Dict(b)) => same(a, b, fit),
        (Kind::Tuple(a), Kind::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, fit))
        }
        (Kind::Tuple(items), Kind::List(to)) => items.iter().all(|item| same(item, to, fit)),
        (Kind::Object(a), Kind::Object(b)) => b.iter().all(|field| has(a, field, fit)),
        (Kind::Object(fields), Kind::Dict(to)) => fields.iter().all(|f| same(&f.ty, to, fit)),
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b) && is_scalar(a),
    }
}

fn named(from: &Type, to: &Type, fit: &mut Fit<'_, '_>) -> bool {
    let pair = (from.clone(), to.clone());
    if fit.assumed.contains(&pair) {
        return true;
    }
    fit.assumed.push(pair);
    let defs = fit.defs;
    let resolve = |ty: &Type| match &ty.kind {
        Kind::Ref(name) => defs.get(name).cloned(),
        _ => Some(ty.clone()),
    };
    matches!((resolve(from), resolve(to)), (Some(a), Some(b)) if same(&a, &b, fit))
}

fn is_scalar(kind: &Kind) -> bool {
    matches!(kind, Kind::Str | Kind::Int | Kind::Float | Kind::Bool | Kind::Date)
}

fn scalar_fits(value: &Value, to: &Kind) -> bool {
    match to {
        Kind::Str => value.is_string(),
        Kind::Int => value.is_i64() || value.is_u64(),
        Kind::Float => value.is_number(),
        Kind::Bool => value.is_boolean(),
        _ => false,
    }
}

fn has(fields: &[ObjectField], wanted: &ObjectField, fit: &mut Fit<'_, '_>) -> bool {
    match fields.iter().find(|f| f.name == wanted.name) {
        Some(field) => same(&field.ty, &wanted.ty, fit),
        None => wanted.ty.is_nullable(fit.defs),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use teleprompt_core::Signature;

    use super::*;

    fn fit(from: &str, to: &str) -> bool {
        let defs = "where N = {v: int, next: N?}, M = {v: float, next: M?}, S = str?";
        let text = format!("a: {from} -> b: {to} {defs}");
        let signature: Signature = text.parse().unwrap();
        let ty = |name: &str| signature.fields().find(|f| &*f.name == name).unwrap().ty.clone();
        fits(&ty("a"), &ty("b"), signature.defs())
    }

    #[test]
    fn these_fit() {
        for (from, to) in [
            ("str", "str"),
            ("int", "float"),
            ("int", "str"),
            ("bool?", "str"),
            ("int | str", "str"),
            ("any", "str"),
            ("int", "S"),
            ("date", "str"),
            ("list[dict[str, str]]", "any"),
            ("list[int]", "list[float]"),
            ("tuple[int, int]", "list[int]"),
            ("str?", "str"),
            ("str", "str?"),
            ("int", "str | int"),
            (r#"enum["a"]"#, r#"enum["a", "b"]"#),
            (r#"enum["a", "b"]"#, "str | int"),
            ("float(0..1)", "float(0..0.5)"),
            ("{a: int, b: str}", "{a: float, c: str?}"),
            ("{a: int, b: int}", "dict[str, float]"),
            ("N", "M"),
        ] {
            assert!(fit(from, to), "{from} → {to}");
        }
    }

    #[test]
    fn these_do_not_fit() {
        for (from, to) in [
            ("float", "int"),
            ("str", "int"),
            ("str", "date"),
            ("list[str]", "str"),
            ("list[int]", "list[str]"),
            ("any", "int"),
            ("str | int", "int"),
            ("str", r#"enum["a"]"#),
            (r#"enum["a", "c"]"#, r#"enum["a", "b"]"#),
            ("{a: int}", "{a: int, b: int}"),
            ("{a: int}", "str"),
            ("tuple[int]", "tuple[int, int]"),
            ("M", "N"),
            ("dict[str, int]", "list[int]"),
        ] {
            assert!(!fit(from, to), "{from} → {to}");
        }
    }

    #[test]
    fn values_for_text_fields_become_json_text() {
        for (value, text) in [
            (json!(1.5), json!("1.5")),
            (json!(true), json!("true")),
            (json!("x"), json!("x")),
            (json!(null), json!(null)),
            (json!([1, "a"]), json!("[1,\"a\"]")),
        ] {
            assert_eq!(to_text(&value), text);
        }
        let defs = TypeDefs::new();
        let text = |ty: &str| is_text(&ty.parse().unwrap(), &defs);
        assert!(text("str") && text("str?") && !text("any") && !text("str | int"));
    }

    #[test]
    fn the_widest_type_takes_all() {
        let defs = TypeDefs::new();
        let widest = |types: &[&str]| {
            let types: Vec<Type> = types.iter().map(|t| t.parse().unwrap()).collect();
            super::widest(&types.iter().collect::<Vec<_>>(), &defs).map(Type::to_string)
        };
        assert_eq!(widest(&["int", "float"]).as_deref(), Some("float"));
        assert_eq!(widest(&[r#"enum["a"]"#, "str"]).as_deref(), Some("str"));
        assert_eq!(widest(&["int", "str"]), None);
    }
}
