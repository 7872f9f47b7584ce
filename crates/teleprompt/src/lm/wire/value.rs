//! Small readings and writings of JSON that the wires share.

use serde_json::{Value, json};
use teleprompt_core::ToolCall;

/// The text of this field, if it is one.
pub(super) fn text<'v>(value: &'v Value, field: &str) -> Option<&'v str> {
    value.get(field).and_then(Value::as_str)
}

/// The elements of this field; none where it is no array.
pub(super) fn list<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The count in this field.
pub(super) fn count(value: &Value, field: &str) -> Option<u64> {
    value.get(field).and_then(Value::as_u64)
}

/// The arguments of a call that is given back, for wires that take nothing but an object. What the
/// LM wrote wrong stands under `text`, so that it can see its mistake.
pub(super) fn arguments(call: &ToolCall) -> Value {
    match call.parsed() {
        Ok(object @ Value::Object(_)) => object,
        _ => json!({"text": call.arguments}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_an_object_whatever_the_lm_wrote() {
        let given = |written: &str| arguments(&ToolCall::new("1", "f", written)).to_string();
        assert_eq!(given(r#"{"a":1}"#), r#"{"a":1}"#);
        assert_eq!(given(""), "{}");
        assert_eq!(given(r#"{"a":"#), r#"{"text":"{\"a\":"}"#);
        assert_eq!(given("[1]"), r#"{"text":"[1]"}"#);
    }
}
