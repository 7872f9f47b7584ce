//! Objects and maps.

use serde_json::{Map, Value};

use super::{Cx, Outcome, collect, prefixed, problem, unfit};
use crate::names::edit_distance;
use crate::{FieldError, ObjectField, Repair, Type};

impl Cx<'_> {
    pub(super) fn dict_from_json(&mut self, node: &Value, value: &Type, ty: &Type) -> Outcome {
        let map = match node {
            Value::Object(map) => map,
            Value::String(s) => return self.structure_from_json_text(s, ty),
            _ => return Err(unfit(node, ty)),
        };
        let mut out = Map::new();
        let mut errors = Vec::new();
        for (key, node) in map {
            match self.json(node, value) {
                Ok(value) => {
                    out.insert(key.clone(), value);
                }
                Err(e) => collect(&mut errors, prefixed(&format!("[{key:?}]"), e)),
            }
        }
        if errors.is_empty() { Ok(Value::Object(out)) } else { Err(errors) }
    }

    pub(super) fn object_from_json(
        &mut self,
        node: &Value,
        fields: &[ObjectField],
        ty: &Type,
    ) -> Outcome {
        let map = match node {
            Value::Object(map) => map,
            Value::String(s) => return self.structure_from_json_text(s, ty),
            Value::Array(items) => {
                let [only @ Value::Object(_)] = items.as_slice() else {
                    return Err(unfit(node, ty));
                };
                self.flag(Repair::Unwrapped);
                return self.object_from_json(only, fields, ty);
            }
            _ => return Err(unfit(node, ty)),
        };
        let names: Vec<&str> = fields.iter().map(|f| &*f.name).collect();
        let found = self.matched(map, &names);
        let mut out = Map::new();
        let mut errors = Vec::new();
        for (field, node) in fields.iter().zip(found) {
            match self.field(node, &field.ty) {
                Ok(value) => {
                    out.insert(field.name.to_string(), value);
                }
                Err(e) => collect(&mut errors, prefixed(&format!(".{}", field.name), e)),
            }
        }
        if errors.is_empty() { Ok(Value::Object(out)) } else { Err(errors) }
    }

    fn field(&mut self, node: Option<&Value>, ty: &Type) -> Result<Value, Vec<FieldError>> {
        match node {
            Some(node) => self.json(node, ty),
            None if ty.is_nullable(self.defs) => {
                self.flag(Repair::MissingOptional);
                Ok(Value::Null)
            }
            None => Err(problem("it is missing", ty)),
        }
    }

    /// The values of these fields, found by name: the same, then in other case or spelling.
    pub(crate) fn matched<'v>(
        &mut self,
        map: &'v Map<String, Value>,
        names: &[&str],
    ) -> Vec<Option<&'v Value>> {
        let mut found: Vec<_> = names.iter().map(|n| map.get(*n)).collect();
        let exact = found.iter().flatten().count();
        if exact == map.len() {
            return found;
        }
        let mut unknown = map.len() - exact;
        for (key, value) in map.iter().filter(|(k, _)| !names.contains(&k.as_str())) {
            let free = |i: usize| found.get(i).is_some_and(Option::is_none);
            if let Some(slot) = meant(key, names, free).and_then(|i| found.get_mut(i)) {
                *slot = Some(value);
                unknown -= 1;
                self.flag(Repair::FieldName);
            }
        }
        if unknown > 0 {
            self.flag(Repair::ExtraField);
        }
        found
    }
}

/// The field without a value that this key must mean.
fn meant(key: &str, names: &[&str], free: impl Fn(usize) -> bool) -> Option<usize> {
    let wanted = plain_name(key);
    let open: Vec<_> = names.iter().enumerate().filter(|(i, _)| free(*i)).collect();
    if let Some((i, _)) = open.iter().find(|(_, n)| plain_name(n) == wanted) {
        return Some(*i);
    }
    if wanted.len() < 4 || wanted.len() > 60 {
        return None;
    }
    let distance = |n: &str| edit_distance(&wanted, &plain_name(n));
    let mut scored: Vec<_> = open.iter().map(|(i, n)| (distance(n), *i)).collect();
    scored.sort_unstable();
    let (best, at) = scored.first().copied()?;
    let next = scored.get(1).map_or(usize::MAX, |(d, _)| *d);
    (best <= wanted.len() / 4 && next > best).then_some(at)
}

/// A name without case, spaces, hyphens and underscores.
fn plain_name(name: &str) -> Vec<char> {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
