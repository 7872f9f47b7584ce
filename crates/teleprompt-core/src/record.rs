//! Records: ordered fields by name, the dynamic form of all inputs and outputs.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Named values in order. A name stands at most once.
///
/// ```
/// use teleprompt_core::record;
/// let r = record! { question: "6 × 7?", tries: 2 };
/// assert_eq!(r.str("question"), Some("6 × 7?"));
/// assert_eq!(r["tries"], 2);
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Record(Vec<(Arc<str>, Value)>);

static NULL: Value = Value::Null;

impl Record {
    /// An empty record.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// An empty record with room for `n` fields.
    pub fn with_capacity(n: usize) -> Self {
        Self(Vec::with_capacity(n))
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(n, _)| **n == *name).map(|(_, v)| v)
    }

    /// The value of a field that is text.
    pub fn str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Whether the field is there.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets a field: in place if it is there, else at the end.
    pub fn insert(&mut self, name: impl Into<Arc<str>>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some(slot) => slot.1 = value,
            None => self.0.push((name, value)),
        }
    }

    /// Takes a field out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(n, _)| **n == *name)?;
        Some(self.0.remove(at).1)
    }

    /// The fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Value)> {
        self.0.iter().map(|(n, v)| (n, v))
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(n, _)| &**n)
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The record as a JSON object.
    pub fn to_json(&self) -> Value {
        Value::Object(self.iter().map(|(n, v)| (n.to_string(), v.clone())).collect())
    }

    /// The record as a JSON object, without copying the values.
    pub fn into_json(self) -> Value {
        Value::Object(self.0.into_iter().map(|(n, v)| (n.to_string(), v)).collect())
    }

    /// Makes any serialisable struct or map a record.
    ///
    /// # Errors
    /// The value is no object, or it does not serialise.
    pub fn from_typed<T: Serialize + Any>(value: T) -> Result<Self> {
        let mut value = Some(value);
        if let Some(record) = (&mut value as &mut dyn Any).downcast_mut::<Option<Record>>() {
            return Ok(record.take().unwrap_or_default());
        }
        match serde_json::to_value(value) {
            Ok(Value::Object(map)) => Ok(map.into()),
            Ok(other) => Err(Error::input(format!("expected named fields, found {other}"))),
            Err(e) => Err(Error::input(e.to_string())),
        }
    }

    /// Makes this record a typed value.
    ///
    /// # Errors
    /// A field is missing or has another type.
    pub fn into_typed<T: DeserializeOwned + Any>(self) -> Result<T> {
        let mut this = Some(self);
        if let Some(out) = (&mut this as &mut dyn Any).downcast_mut::<Option<T>>()
            && let Some(out) = out.take()
        {
            return Ok(out);
        }
        let json = this.unwrap_or_default().into_json();
        serde_json::from_value(json).map_err(|e| Error::input(e.to_string()))
    }
}

impl std::ops::Index<&str> for Record {
    type Output = Value;
    /// The value of a field; `null` if it is not there.
    fn index(&self, name: &str) -> &Value {
        self.get(name).unwrap_or(&NULL)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl From<Map<String, Value>> for Record {
    fn from(map: Map<String, Value>) -> Self {
        Self(map.into_iter().map(|(n, v)| (Arc::from(n), v)).collect())
    }
}

impl<N: Into<Arc<str>>, V: Into<Value>> FromIterator<(N, V)> for Record {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut record = Record::new();
        fields.into_iter().for_each(|(n, v)| record.insert(n, v));
        record
    }
}

impl IntoIterator for Record {
    type Item = (Arc<str>, Value);
    type IntoIter = std::vec::IntoIter<Self::Item>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(&**name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Record;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
                let mut record = Record::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    record.insert(name, value);
                }
                Ok(record)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Builds a [`Record`](crate::Record): names without quotes, values as in `serde_json::json!`.
#[macro_export]
macro_rules! record {
    ($($name:ident : $value:expr),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut record = $crate::Record::new();
        $( record.insert(stringify!($name), $crate::__private::json!($value)); )*
        record
    }};
}
