//! JSON schemas in the form that the provider enforces.

use serde_json::{Map, Value};

/// Keywords that the provider refuses. They only narrow what is allowed, and the reply is checked
/// against the type anyway.
const UNKNOWN: [&str; 14] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "default",
];

/// The schema as the provider takes it; `None` if it cannot say it: maps with free keys, and types
/// that hold themselves.
pub(super) fn accepted(schema: &Value) -> Option<Value> {
    let definitions = schema.get("$defs").and_then(Value::as_object);
    if definitions.is_some_and(|all| all.keys().any(|name| holds_itself(name, all))) {
        return None;
    }
    node(schema)
}

fn node(schema: &Value) -> Option<Value> {
    let Value::Object(schema) = schema else { return Some(schema.clone()) };
    let mut out = Map::new();
    for (keyword, value) in schema {
        let value = match keyword.as_str() {
            known if UNKNOWN.contains(&known) => continue,
            "additionalProperties" => match value {
                Value::Bool(false) => value.clone(),
                _ => return None,
            },
            "properties" | "$defs" => each(value)?,
            "items" | "not" => node(value)?,
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => {
                Value::Array(value.as_array()?.iter().map(node).collect::<Option<_>>()?)
            }
            _ => value.clone(),
        };
        // Alternatives that exclude each other are not known, but a type's never overlap so that it
        // would matter to what is generated.
        let keyword = if keyword == "oneOf" { "anyOf" } else { keyword };
        out.insert(keyword.to_owned(), value);
    }
    if out.contains_key("properties") {
        out.insert("additionalProperties".into(), false.into());
    } else if out.get("type").is_some_and(|t| t == "object") {
        return None;
    }
    Some(out.into())
}

fn each(schemas: &Value) -> Option<Value> {
    let fields = schemas.as_object()?.iter();
    let fields: Option<Map<_, _>> = fields.map(|(k, v)| Some((k.clone(), node(v)?))).collect();
    fields.map(Value::Object)
}

fn holds_itself(name: &str, definitions: &Map<String, Value>) -> bool {
    let mut seen: Vec<&str> = Vec::new();
    let mut open: Vec<&str> = vec![name];
    while let Some(next) = open.pop() {
        let Some(schema) = definitions.get(next) else { continue };
        let mut found = Vec::new();
        references(schema, &mut found);
        if found.contains(&name) {
            return true;
        }
        found.retain(|reference| !seen.contains(reference));
        seen.extend(&found);
        open.extend(found);
    }
    false
}

fn references<'v>(schema: &'v Value, found: &mut Vec<&'v str>) {
    match schema {
        Value::Object(fields) => {
            let reference = fields.get("$ref").and_then(Value::as_str);
            found.extend(reference.and_then(|r| r.strip_prefix("#/$defs/")));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(all) => all.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bounds_go_and_objects_are_closed() {
        let schema = json!({
            "type": "object",
            "properties": {
                "n": {"type": "integer", "minimum": 1, "description": "how many"},
                "tags": {"type": "array", "items": {"type": "string", "maxLength": 3}, "minItems": 2},
                "who": {"oneOf": [{"$ref": "#/$defs/Who"}, {"type": "null"}]},
            },
            "required": ["n"],
            "$defs": {"Who": {"type": "object", "properties": {"minimum": {"type": "string"}}}},
        });
        let expected = json!({
            "type": "object",
            "properties": {
                "n": {"type": "integer", "description": "how many"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "who": {"anyOf": [{"$ref": "#/$defs/Who"}, {"type": "null"}]},
            },
            "required": ["n"],
            "$defs": {"Who": {
                "type": "object",
                "properties": {"minimum": {"type": "string"}},
                "additionalProperties": false,
            }},
            "additionalProperties": false,
        });
        assert_eq!(accepted(&schema), Some(expected));
    }

    #[test]
    fn what_cannot_be_said_is_not_sent() {
        let map = json!({"type": "object", "additionalProperties": {"type": "integer"}});
        let tree = json!({
            "$ref": "#/$defs/A",
            "$defs": {
                "A": {"type": "object", "properties": {"b": {"$ref": "#/$defs/B"}}},
                "B": {"type": "array", "items": {"$ref": "#/$defs/A"}},
            },
        });
        for schema in [map.clone(), json!({"type": "array", "items": map}), tree] {
            assert_eq!(accepted(&schema), None, "{schema}");
        }
    }
}
