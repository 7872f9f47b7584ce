//! Types from JSON schema, as schemars writes it for Rust types.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Constraints, Kind, ObjectField, Type, TypeDefs};
use crate::signature::check_pattern;

type Read<T = Type> = Result<T, String>;

impl Type {
    /// Reads a type from a JSON schema; its `$defs` are added to `defs`, and the schema itself as
    /// `Self` where it refers to itself.
    ///
    /// What a signature has no word for is widened: `format` (except of dates), `uniqueItems`,
    /// `multipleOf`, the titles and the descriptions of types. An `enum` wins over what stands
    /// beside it. A property that may be left out becomes optional, except one with a default that
    /// is not null: `null` would be none of its values, so it has to be said.
    ///
    /// # Errors
    /// A text that says which part of the schema has no counterpart here.
    pub fn from_json_schema(schema: &Value, defs: &mut TypeDefs) -> Result<Type, String> {
        for key in ["$defs", "definitions"] {
            if let Some(Value::Object(named)) = schema.get(key) {
                for (name, part) in named {
                    let ty = read(part).map_err(|m| format!("{name}: {m}"))?;
                    defs.insert(Arc::from(name.as_str()), ty);
                }
            }
        }
        let ty = read(schema)?;
        let own = Arc::from(SELF);
        if ty.refs().contains(&own) || defs.values().any(|t| t.refs().contains(&own)) {
            defs.insert(own.clone(), ty);
            return Ok(Kind::Ref(own).into());
        }
        Ok(ty)
    }
}

/// The name of a schema that refers to itself as `#`.
const SELF: &str = "Self";

fn read(schema: &Value) -> Read {
    let map = match schema {
        Value::Bool(true) => return Ok(Kind::Any.into()),
        Value::Object(map) => map,
        other => return Err(format!("not a schema that anything fits: {other}")),
    };
    if let Some(Value::String(target)) = map.get("$ref") {
        return Ok(Kind::Ref(ref_name(target)).into());
    }
    if let Some(value) = map.get("const") {
        return enum_type(std::slice::from_ref(value));
    }
    if let Some(Value::Array(values)) = map.get("enum") {
        return enum_type(values);
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(arms)) = map.get(key) {
            return union_type(arms);
        }
    }
    if let Some(Value::Array(parts)) = map.get("allOf") {
        return match parts.as_slice() {
            [only] => read(only),
            _ => Err("`allOf` of several schemas has no counterpart in a signature".into()),
        };
    }
    match map.get("type") {
        Some(Value::String(name)) => {
            let kind = named_kind(name, map)?;
            let constraints = constraints_of(map, &kind)?;
            Ok(Type { kind, constraints })
        }
        Some(Value::Array(names)) => {
            let arm = |name: &Value| {
                let mut arm = map.clone();
                arm.insert("type".into(), name.clone());
                Value::Object(arm)
            };
            union_type(&names.iter().map(arm).collect::<Vec<_>>())
        }
        _ if map.contains_key("properties") => object_kind(map).map(Type::from),
        _ => Ok(Kind::Any.into()),
    }
}

/// The last part of `#/$defs/NAME`, without the escapes of JSON pointers and of URLs.
fn ref_name(target: &str) -> Arc<str> {
    let last = target.rsplit('/').next().unwrap_or(target);
    if last == "#" {
        return Arc::from(SELF);
    }
    let mut bytes = Vec::with_capacity(last.len());
    let mut rest = last;
    while let Some(c) = rest.chars().next() {
        let hex = rest.strip_prefix('%').and_then(|r| r.get(..2));
        let (byte, len) = match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => (Some(byte), 3),
            None => (None, c.len_utf8()),
        };
        match byte {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = rest.get(len..).unwrap_or("");
    }
    let text = String::from_utf8_lossy(&bytes);
    Arc::from(text.replace("~1", "/").replace("~0", "~"))
}

fn named_kind(name: &str, map: &Map<String, Value>) -> Read<Kind> {
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
        "object" => map_kind(map)?,
        "null" => return Err("a value that is always null says nothing".into()),
        other => return Err(format!("the schema type `{other}` is not known")),
    })
}

fn map_kind(map: &Map<String, Value>) -> Read<Kind> {
    // Maps with keys that are no texts, such as numbers: the keys are texts in JSON all the same.
    if let Some(Value::Object(patterns)) = map.get("patternProperties")
        && let [value] = patterns.values().collect::<Vec<_>>().as_slice()
    {
        return Ok(Kind::Dict(Box::new(read(value)?)));
    }
    Ok(match map.get("additionalProperties") {
        Some(value @ Value::Object(_)) => Kind::Dict(Box::new(read(value)?)),
        Some(Value::Bool(false)) => Kind::Object(Vec::new()),
        _ => Kind::Dict(Box::new(Kind::Any.into())),
    })
}

fn enum_type(values: &[Value]) -> Read {
    let mut some: Vec<Value> = Vec::new();
    for value in values.iter().filter(|v| !v.is_null()) {
        if value.is_object() || value.is_array() {
            return Err(format!("an enum can hold texts, numbers and bools, but not {value}"));
        }
        if !some.contains(value) {
            some.push(value.clone());
        }
    }
    if some.is_empty() {
        return Err("an enum without values".into());
    }
    let nullable = values.iter().any(Value::is_null);
    let ty = Type::from(Kind::Enum(some));
    Ok(if nullable { ty.optional() } else { ty })
}

fn union_type(arms: &[Value]) -> Read {
    let is_null = |arm: &&Value| {
        arm.get("type").and_then(Value::as_str) == Some("null")
            || arm.get("const") == Some(&Value::Null)
    };
    let types = arms.iter().filter(|a| !is_null(a)).map(read).collect::<Result<Vec<_>, _>>()?;
    let nullable = arms.iter().any(|a| is_null(&a));
    if types.is_empty() {
        return Err("a union without types".into());
    }
    let ty = merge_enums(types);
    Ok(if nullable { ty.optional() } else { ty })
}

/// schemars writes a Rust enum with documented variants as one `const` schema a variant, and one
/// with other variants as an `enum` beside them.
fn merge_enums(types: Vec<Type>) -> Type {
    let mut all: Vec<Value> = Vec::new();
    for ty in &types {
        let Kind::Enum(values) = &ty.kind else { return Type::union(types) };
        for value in values {
            if !all.contains(value) {
                all.push(value.clone());
            }
        }
    }
    Kind::Enum(all).into()
}

fn object_kind(map: &Map<String, Value>) -> Read<Kind> {
    let required: Vec<&str> = match map.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let Some(Value::Object(properties)) = map.get("properties") else {
        return Ok(Kind::Object(Vec::new()));
    };
    let fields = properties.iter().map(|(name, schema)| {
        let ty = read(schema).map_err(|m| format!("{name}: {m}"))?;
        let has_default = schema.get("default").is_some_and(|d| !d.is_null());
        let is_said = required.contains(&name.as_str()) || has_default;
        let ty = if is_said || ty.kind == Kind::Any { ty } else { ty.optional() };
        let description = schema.get("description").and_then(Value::as_str).unwrap_or("");
        Ok(ObjectField { name: Arc::from(name.as_str()), ty, description: Arc::from(description) })
    });
    Ok(Kind::Object(fields.collect::<Result<_, String>>()?))
}

fn constraints_of(map: &Map<String, Value>, kind: &Kind) -> Read<Constraints> {
    let number = |key: &str| map.get(key).and_then(Value::as_number).cloned();
    let size =
        |key: &str| map.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let (low, high) = match kind {
        Kind::List(_) => ("minItems", "maxItems"),
        Kind::Dict(_) => ("minProperties", "maxProperties"),
        Kind::Str => ("minLength", "maxLength"),
        _ => ("", ""),
    };
    let is_number = matches!(kind, Kind::Int | Kind::Float);
    let pattern = match map.get("pattern").and_then(Value::as_str) {
        Some(text) if *kind == Kind::Str => {
            let whole = super::pattern::whole_text(text);
            check_pattern(&whole)?;
            Some(Arc::from(whole))
        }
        _ => None,
    };
    Ok(Constraints {
        min: number("minimum").filter(|_| is_number),
        max: number("maximum").filter(|_| is_number),
        min_len: size(low),
        max_len: size(high),
        pattern,
        one_of: Vec::new(),
    })
}
