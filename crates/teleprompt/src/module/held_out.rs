//! Which demonstrations would tell a run the answer to its own example.

use std::sync::Arc;

use teleprompt_core::{Example, Record, Signature};

/// Whether a demonstration of a predictor was made of this example, as far as its content tells: it
/// has all of the example's inputs, or the predictor's inputs are columns of the example.
pub(crate) fn is_made_of(demo: &Record, signature: &Signature, example: &Example) -> bool {
    same(example.input_names.iter(), demo, &example.fields)
        || same(signature.inputs().iter().map(|f| &f.name), demo, &example.fields)
}

/// Whether a demonstration shows the answer to this very call, or was made of the example that the
/// call is for: steps within a program have inputs that no example has.
pub(super) fn tells(
    demo: &Record,
    signature: &Signature,
    example: &Example,
    inputs: &Record,
) -> bool {
    same(signature.inputs().iter().map(|f| &f.name), demo, inputs)
        || is_made_of(demo, signature, example)
}

/// Whether two records have the same under these names, and anything at all. What is missing is null.
fn same<'n>(names: impl Iterator<Item = &'n Arc<str>>, a: &Record, b: &Record) -> bool {
    let mut any = false;
    for name in names {
        let [a, b] = [a, b].map(|record| record.get(name).filter(|v| !v.is_null()));
        if a != b {
            return false;
        }
        any |= a.is_some();
    }
    any
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use teleprompt_core::record;

    #[test]
    fn a_demonstration_is_known_by_its_content() {
        let example = Example::new(
            record! { text: "a", hint: "h", topic: "t", label: "l" },
            ["text", "hint"],
        );
        let step: Signature = "topic -> label".parse().unwrap();
        let whole: Signature = "text, hint: str?, found -> label".parse().unwrap();
        let made = |demo: &Record, s: &Signature| is_made_of(demo, s, &example);
        assert!(made(&record! { text: "a", hint: "h", found: "f", label: "x" }, &whole));
        assert!(!made(&record! { text: "a", found: "f", label: "l" }, &whole), "another hint");
        assert!(!made(&record! { text: "b", hint: "h", found: "f", label: "l" }, &whole));
        assert!(made(&record! { topic: "t", label: "x" }, &step), "a column of the example");
        assert!(!made(&record! { topic: "u", label: "l" }, &step), "only the label is the same");
        let inner: Signature = "summary -> label".parse().unwrap();
        let demo = record! { summary: "s", label: "l" };
        assert!(!made(&demo, &inner));
        assert!(tells(&demo, &inner, &example, &record! { summary: "s" }));
        assert!(!tells(&demo, &inner, &example, &record! { summary: "r" }));
        let none: Signature = "a: any -> b".parse().unwrap();
        assert!(!tells(&record! { a: json!(null) }, &none, &example, &record! {}));
    }
}
