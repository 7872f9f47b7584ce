//! Metrics over text: exact match, F1, contains.

use std::collections::HashMap;

use serde_json::Value;
use teleprompt_core::{Context, Example, Metric, MetricHandle, Prediction, Result, Score};

use super::fields::{answers, label, output, text_answers, wrong};
use super::normalize::{has_run, normalize, same, same_text, words};

/// Whether the answer is the label, or one of a list of labels. Texts are compared after
/// [`normalize`]; numbers by value; lists and objects part by part. Where normalising leaves nothing
/// of a text, and for plain numbers, it takes care that different answers stay different
/// (`-5` is not `5`).
pub fn exact_match(field: impl Into<String>) -> MetricHandle {
    MetricHandle::new(ExactMatch(field.into()))
}

struct ExactMatch(String);

impl Metric for ExactMatch {
    async fn score(&self, _: &Context, e: &Example, p: &Prediction) -> Result<Score> {
        let (label, output) = (label(&self.0, e, p)?, output(&self.0, e, p)?);
        let one_of = !output.is_array() && answers(label).iter().any(|a| same(a, output));
        Ok((one_of || same(label, output)).into())
    }
    fn name(&self) -> String {
        format!("exact_match:{}", self.0)
    }
}

/// The F1 of the words of answer and label after [`normalize`], from 0 to 1; the best over a list
/// of labels (SQuAD, Rajpurkar et al. 2016). Where normalising leaves no word on one side, it is
/// whether they match exactly.
pub fn f1(field: impl Into<String>) -> MetricHandle {
    MetricHandle::new(F1(field.into()))
}

struct F1(String);

impl Metric for F1 {
    async fn score(&self, _: &Context, e: &Example, p: &Prediction) -> Result<Score> {
        let (label, output) = (label(&self.0, e, p)?, output(&self.0, e, p)?);
        let output = text_output(&self.0, output)?;
        let labels = text_answers(&self.0, label)?;
        Ok(labels.iter().map(|label| word_f1(output, label)).fold(0.0, f64::max).into())
    }
    fn name(&self) -> String {
        format!("f1:{}", self.0)
    }
}

fn word_f1(output: &str, label: &str) -> f64 {
    let (a, b) = (normalize(output), normalize(label));
    let (a, b) = (words(&a), words(&b));
    if a.is_empty() || b.is_empty() {
        return f64::from(u8::from(same_text(output, label)));
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    b.iter().for_each(|word| *left.entry(word).or_default() += 1);
    let mut shared = 0;
    for word in &a {
        if let Some(n) = left.get_mut(word).filter(|n| **n > 0) {
            *n -= 1;
            shared += 1;
        }
    }
    2.0 * f64::from(shared) / (a.len() + b.len()) as f64
}

/// Whether the label, or one of a list of labels, stands in the answer: as whole words in one piece
/// after [`normalize`]. `cat` is not in `concatenate`. A label of which normalising leaves nothing
/// fails the example.
pub fn contains(field: impl Into<String>) -> MetricHandle {
    MetricHandle::new(Contains(field.into()))
}

struct Contains(String);

impl Metric for Contains {
    async fn score(&self, _: &Context, e: &Example, p: &Prediction) -> Result<Score> {
        let (label, output) = (label(&self.0, e, p)?, output(&self.0, e, p)?);
        let output = normalize(text_output(&self.0, output)?);
        let mut found = false;
        for answer in text_answers(&self.0, label)? {
            let answer = normalize(answer);
            if answer.is_empty() {
                return Err(wrong(&self.0, label, "has no word to look for"));
            }
            found |= has_run(&words(&output), &words(&answer));
        }
        Ok(found.into())
    }
    fn name(&self) -> String {
        format!("contains:{}", self.0)
    }
}

/// An answer that must be text; nothing (`null`, an optional output) is empty text.
fn text_output<'a>(field: &str, output: &'a Value) -> Result<&'a str> {
    match output {
        Value::String(text) => Ok(text),
        Value::Null => Ok(""),
        other => Err(wrong(field, other, "of the prediction is no text")),
    }
}
