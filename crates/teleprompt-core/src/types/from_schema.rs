//! Types from JSON schema, as schemars writes it for Rust types.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Constraints, Kind, ObjectField, Type, TypeDefs};

impl Type {
    /// Reads a type from a JSON schema; its `$defs` are added to `defs`.
    ///
    /// # Errors
    /// A text that says which part of the schema has no counterpart here.
    pub fn from_json_schema(schema: &Value, defs: &mut TypeDefs) -> Result<Type, String> {
        if let Some(Value::Object(named)) = schema.get("$defs") {
            for (name, part) in named {
                let ty = read(part)?;
                defs.insert(Arc::from(name.as_str()), ty);
            }
        }
        read(schema)
    }
}

fn read(schema: &Value) -> Result<Type, String> {
    let map = match schema {
        Value::Bool(true) => return Ok(Kind::Any.into()),
        Value::Object(map) => map,
        other => return Err(format!("not a schema: {other}")),
    };
    let kind = kind_of(map)?;
    let constraints = constraints_of(map, &kind);
    Ok(Type { kind, constraints })
}

fn kind_of(map: &Map<String, Value>) -> Result<Kind, String> {
    if let Some(Value::String(target)) = map.get("$ref") {
        let name = target.rsplit('/').next().unwrap_or(target);
        return Ok(Kind::Ref(Arc::from(if name == "#" { "Self" } else { name })));
    }
    if let Some(value) = map.get("const") {
        return Ok(Kind::Enum(vec![value.clone()]));
    }
    if let Some(Value::Array(values)) = map.get("enum") {
        return Ok(enum_kind(values));
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(arms)) = map.get(key) {
            return union_kind(arms);
        }
    }
    if let Some(Value::Array(parts)) = map.get("allOf") {
        if let [only] = parts.as_slice() {
            return read(only).map(|t| t.kind);
        }
        return Err("`allOf` of several schemas has no counterpart in a signature".into());
    }
    match map.get("type") {
        Some(Value::String(name)) => named_kind(name, map),
        Some(Value::Array(names)) => {
            let arms: Vec<Value> = names
                .iter()
                .map(|n| {
                    let mut arm = map.clone();
                    arm.insert("type".into(), n.clone());
                    Value::Object(arm)
                })
                .collect();
            union_kind(&arms)
        }
        _ if map.contains_key("properties") => object_kind(map),
        _ => Ok(Kind::Any),
    }
}

fn named_kind(name: &str, map: &Map<String, Value>) -> Result<Kind, String> {
    Ok(match name {
        "string" if map.get("format").and_then(Value::as_str) == Some("date") => Kind::Date,
        "string" => Kind::Str,
        "integer" => Kind::Int,
        "number" => Kind::Float,
        "boolean" => Kind::Bool,
        "array" => match (map.get("prefixItems"), map.get("items")) {
            (Some(Value::Array(items)), _) => {
                Kind::Tuple(items.iter().map(read).collect::<Result<_, _>>()?)
            }
            (_, Some(item)) => Kind::List(Box::new(read(item)?)),
            _ => Kind::List(Box::new(Kind::Any.into())),
        },
        "object" if map.contains_key("properties") => object_kind(map)?,
        "object" => match map.get("additionalProperties") {
            Some(value @ Value::Object(_)) => Kind::Dict(Box::new(read(value)?)),
            Some(Value::Bool(false)) => Kind::Object(Vec::new()),
            _ => Kind::Dict(Box::new(Kind::Any.into())),
        },
        "null" => Kind::Enum(vec![Value::Null]),
        other => return Err(format!("the schema type `{other}` is not known")),
    })
}

fn enum_kind(values: &[Value]) -> Kind {
    let some: Vec<Value> = values.iter().filter(|v| !v.is_null()).cloned().collect();
    if some.len() == values.len() {
        return Kind::Enum(some);
    }
    Kind::Optional(Box::new(Kind::Enum(some).into()))
}

fn union_kind(arms: &[Value]) -> Result<Kind, String> {
    let mut types = arms.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let before = types.len();
    types.retain(|t| t.kind != Kind::Enum(vec![Value::Null]));
    let nullable = types.len() < before;
    let kind = match types.len() {
        1 => types.remove(0),
        _ => merge_enums(types),
    };
    Ok(if nullable { kind.optional().kind } else { kind.kind })
}

/// schemars writes a Rust enum with documented variants as one `const` schema a variant.
fn merge_enums(types: Vec<Type>) -> Type {
    if types.iter().all(|t| matches!(t.kind, Kind::Enum(_))) {
        let values = types.into_iter().flat_map(|t| match t.kind {
            Kind::Enum(values) => values,
            _ => Vec::new(),
        });
        return Kind::Enum(values.collect()).into();
    }
    Kind::Union(types).into()
}

fn object_kind(map: &Map<String, Value>) -> Result<Kind, String> {
    let required: Vec<&str> = match map.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let Some(Value::Object(properties)) = map.get("properties") else {
        return Ok(Kind::Object(Vec::new()));
    };
    let fields = properties.iter().map(|(name, schema)| {
        let ty = read(schema)?;
        let ty = if required.contains(&name.as_str()) { ty } else { ty.optional() };
        let description = schema.get("description").and_then(Value::as_str).unwrap_or("");
        Ok(ObjectField { name: Arc::from(name.as_str()), ty, description: Arc::from(description) })
    });
    Ok(Kind::Object(fields.collect::<Result<_, String>>()?))
}

fn constraints_of(map: &Map<String, Value>, kind: &Kind) -> Constraints {
    let number = |key: &str| map.get(key).and_then(Value::as_number).cloned();
    let size = |key: &str| map.get(key).and_then(Value::as_u64).map(|n| n as usize);
    let (low, high) = match kind {
        Kind::List(_) => ("minItems", "maxItems"),
        Kind::Dict(_) => ("minProperties", "maxProperties"),
        Kind::Str => ("minLength", "maxLength"),
        _ => ("", ""),
    };
    let is_number = matches!(kind, Kind::Int | Kind::Float);
    Constraints {
        min: number("minimum").filter(|_| is_number),
        max: number("maximum").filter(|_| is_number),
        min_len: size(low),
        max_len: size(high),
        pattern: map
            .get("pattern")
            .and_then(Value::as_str)
            .filter(|_| *kind == Kind::Str)
            .map(|p| Arc::from(whole_text_pattern(p).as_str())),
        one_of: Vec::new(),
    }
}

/// JSON schema patterns match anywhere unless anchored; ours match the whole text.
fn whole_text_pattern(pattern: &str) -> String {
    let inner = pattern.strip_prefix("^(?:").and_then(|p| p.strip_suffix(")$"));
    if let Some(inner) = inner {
        return inner.to_owned();
    }
    match (pattern.strip_prefix('^'), pattern.strip_suffix('$')) {
        (Some(rest), Some(_)) => rest.strip_suffix('$').unwrap_or(rest).to_owned(),
        (Some(rest), None) => format!("{rest}.*"),
        (None, Some(rest)) => format!(".*{rest}"),
        (None, None) => format!(".*(?:{pattern}).*"),
    }
}
