//! Types as JSON schema (draft 2020-12, the part that LMs and grammars understand).

use serde_json::{Map, Value, json};

use super::{Constraints, Kind, ObjectField, Type, TypeDefs};

impl Type {
    /// The JSON schema of this type; named types are referred to as `#/$defs/NAME`.
    ///
    /// ```
    /// use teleprompt_core::Type;
    /// let schema = Type::list(Type::str()).json_schema();
    /// assert_eq!(schema.to_string(), r#"{"type":"array","items":{"type":"string"}}"#);
    /// ```
    pub fn json_schema(&self) -> Value {
        let mut schema = self.kind_schema();
        self.constraints.add_to(&mut schema, &self.kind);
        Value::Object(schema)
    }

    fn kind_schema(&self) -> Map<String, Value> {
        let value = match &self.kind {
            Kind::Str => json!({"type": "string"}),
            Kind::Int => json!({"type": "integer"}),
            Kind::Float => json!({"type": "number"}),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::Date => json!({"type": "string", "format": "date"}),
            Kind::Any => json!({}),
            Kind::List(item) => json!({"type": "array", "items": item.json_schema()}),
            Kind::Dict(value) => {
                json!({"type": "object", "additionalProperties": value.json_schema()})
            }
            Kind::Tuple(items) => json!({
                "type": "array",
                "prefixItems": items.iter().map(Type::json_schema).collect::<Vec<_>>(),
                "minItems": items.len(), "maxItems": items.len(),
            }),
            Kind::Optional(inner) => {
                json!({"anyOf": [inner.json_schema(), {"type": "null"}]})
            }
            Kind::Union(arms) => {
                json!({"anyOf": arms.iter().map(Type::json_schema).collect::<Vec<_>>()})
            }
            Kind::Enum(values) => json!({"enum": values}),
            Kind::Object(fields) => object_schema(fields),
            Kind::Ref(name) => json!({"$ref": format!("#/$defs/{name}")}),
        };
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

fn object_schema(fields: &[ObjectField]) -> Value {
    let mut properties = Map::new();
    for field in fields {
        properties
            .insert(field.name.to_string(), described(field.ty.json_schema(), &field.description));
    }
    // All are required, optional ones as null: what strict structured output wants, and what makes
    // a small model say "nothing" on purpose rather than by omission.
    let required: Vec<&str> = fields.iter().map(|f| &*f.name).collect();
    json!({
        "type": "object", "properties": properties,
        "required": required, "additionalProperties": false,
    })
}

fn described(mut schema: Value, description: &str) -> Value {
    if let (Value::Object(map), false) = (&mut schema, description.is_empty()) {
        map.insert("description".into(), description.into());
    }
    schema
}

impl Constraints {
    fn add_to(&self, schema: &mut Map<String, Value>, kind: &Kind) {
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                schema.insert(key.into(), value);
            }
        };
        put("minimum", self.min.clone().map(Value::Number));
        put("maximum", self.max.clone().map(Value::Number));
        let (low, high) = match kind {
            Kind::List(_) => ("minItems", "maxItems"),
            Kind::Dict(_) => ("minProperties", "maxProperties"),
            _ => ("minLength", "maxLength"),
        };
        put(low, self.min_len.map(Value::from));
        put(high, self.max_len.map(Value::from));
        put("pattern", self.pattern.as_deref().map(|p| format!("^(?:{p})$").into()));
        put("enum", (!self.one_of.is_empty()).then(|| self.one_of.clone().into()));
    }
}

/// The schema of a record with these fields, complete with the definitions it needs.
pub fn record_schema(fields: &[ObjectField], defs: &TypeDefs) -> Value {
    let mut schema = object_schema(fields);
    if let (Value::Object(map), false) = (&mut schema, defs.is_empty()) {
        let defs = defs.iter().map(|(n, t)| (n.to_string(), t.json_schema())).collect();
        map.insert("$defs".into(), Value::Object(defs));
    }
    schema
}
