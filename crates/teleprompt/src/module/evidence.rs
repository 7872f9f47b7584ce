//! Probabilities of labels: from a reply's tokens, or from what the model stated.

use std::collections::BTreeMap;
use std::sync::Arc;

use teleprompt_core::{
    Adapter, Completion, Decider, Evidence, EvidenceByField, EvidenceSource, FieldPiece, Flag,
    Labels, Parameters, Parsed, Record, Repair, Signature, TokenLogprob,
};

/// Rivals to ask for at each token: the most that providers give.
pub(super) const RIVALS: u32 = 20;

/// The decisions of a predictor.
#[derive(Default)]
pub(super) struct Decisions(Vec<Decided>);

struct Decided {
    field: Arc<str>,
    from: EvidenceSource,
    decider: Decider,
}

impl Decisions {
    /// # Errors
    /// A decision does not fit the signature.
    pub fn new(parameters: &Parameters, signature: &Signature) -> Result<Self, String> {
        let decided = parameters.decisions.iter().map(|(field, decision)| {
            let decider = decision.on(field, signature)?;
            Ok(Decided { field: field.clone(), from: decision.from.clone(), decider })
        });
        decided.collect::<Result<_, String>>().map(Self)
    }

    /// Whether any of them needs log-probabilities.
    pub fn want_logprobs(&self) -> bool {
        self.0.iter().any(|d| d.from == EvidenceSource::Logprobs)
    }

    /// Puts the decided values into a reply, and gives what they were decided from.
    pub fn apply(
        &self,
        adapter: &dyn Adapter,
        signature: &Signature,
        completion: &Completion,
        reply: &mut Parsed,
    ) -> EvidenceByField {
        let mut all = EvidenceByField::new();
        for Decided { field, from, decider } in &self.0 {
            let Some(said) = reply.fields.get(field).cloned() else { continue };
            let labels = decider.labels();
            let mut evidence = Evidence { said, labels: BTreeMap::new() };
            evidence.labels = match from {
                EvidenceSource::Logprobs => {
                    let tokens = completion.logprobs.as_deref().unwrap_or_default();
                    let at = begin(adapter, signature, field, tokens);
                    let tokens = at.and_then(|at| tokens.get(at..)).unwrap_or_default();
                    by_text(labels, &masses(labels, tokens))
                }
                EvidenceSource::Stated { field } => {
                    by_text(labels, &stated(labels, &evidence, &reply.fields, field))
                }
            };
            if evidence.labels.is_empty() {
                reply.flags.push(Flag::new(field.clone(), Repair::NoEvidence));
            } else {
                reply.fields.insert(field.clone(), decider.decode(&evidence));
            }
            all.insert(field.clone(), evidence);
        }
        all
    }
}

/// The token with which the field's value begins: the first one of which the adapter's reader tells
/// something of the field. A reply that is nothing but the value of the only output begins with it.
fn begin(
    adapter: &dyn Adapter,
    signature: &Signature,
    field: &str,
    tokens: &[TokenLogprob],
) -> Option<usize> {
    let of_field = |piece: &FieldPiece| match piece {
        FieldPiece::Text { field: of, .. } | FieldPiece::Done { field: of, .. } => **of == *field,
    };
    let read = adapter.reader(signature).and_then(|mut reader| {
        tokens.iter().position(|token| reader.feed(&token.token).iter().any(of_field))
    });
    let only = signature.outputs().len() == 1;
    let first = || tokens.iter().position(|t| !t.token.trim().is_empty()).filter(|_| only);
    read.or_else(first)
}

/// The probability of each label by the tokens of a value: along what was written, what each rival
/// token would have led to. A rival that several labels begin with is shared by them evenly, as is
/// what was written, should it never tell them apart.
fn masses(labels: &Labels, tokens: &[TokenLogprob]) -> Vec<f64> {
    let texts: Vec<String> = labels.texts().iter().map(|t| t.to_lowercase()).collect();
    let mut masses = vec![0.0; texts.len()];
    let mut share = |among: &[usize], mass: f64| {
        let each = mass / among.len().max(1) as f64;
        for i in among {
            if let Some(sum) = masses.get_mut(*i) {
                *sum += each;
            }
        }
    };
    // Those that what was written may still become, and how probable it was.
    let mut open: Vec<usize> = (0..texts.len()).collect();
    let (mut written, mut left) = (String::new(), 1.0);
    for token in tokens {
        if open.len() < 2 {
            break;
        }
        for (rival, logprob) in token.top.iter().filter(|(t, _)| *t != token.token) {
            let with = continued(&written, rival);
            if !with.is_empty() {
                share(&among(&texts, &open, &with), left * probability(*logprob));
            }
        }
        written = continued(&written, &token.token);
        left *= probability(token.logprob);
        open = among(&texts, &open, &written);
    }
    if open.len() == texts.len() {
        // Nothing that was written excludes any label.
        return masses;
    }
    let whole: Vec<usize> =
        open.iter().copied().filter(|i| texts.get(*i).is_some_and(|t| *t == written)).collect();
    // The text ended here, so it is the label that it is, not one that it begins.
    share(if whole.is_empty() { &open } else { &whole }, left);
    masses
}

/// A value with one more token; white space and a quote before it are not part of it.
fn continued(written: &str, token: &str) -> String {
    let mut value = format!("{written}{}", token.to_lowercase());
    if written.is_empty() {
        let bare = value.trim_start();
        value = bare.strip_prefix('"').unwrap_or(bare).to_owned();
    }
    value
}

/// Of these labels, those that begin with the text; if there is none, the longest one that the text
/// begins with, as a word.
fn among(texts: &[String], open: &[usize], written: &str) -> Vec<usize> {
    let text = |i: &usize| texts.get(*i).map(String::as_str).unwrap_or_default();
    let begun: Vec<usize> = open.iter().copied().filter(|i| text(i).starts_with(written)).collect();
    if !begun.is_empty() {
        return begun;
    }
    let ended = |i: &usize| {
        let rest = written.strip_prefix(text(i));
        rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    };
    let longest = open.iter().copied().filter(ended).max_by_key(|i| text(i).len());
    longest.into_iter().collect()
}

fn probability(logprob: f32) -> f64 {
    Some(f64::from(logprob).exp()).filter(|p| p.is_finite()).unwrap_or(0.0)
}

/// The probabilities by a number that the model wrote; none if it is no probability.
fn stated(labels: &Labels, evidence: &Evidence, fields: &Record, field: &str) -> Vec<f64> {
    let number = fields.get(field).and_then(serde_json::Value::as_f64);
    let Some(p) = number.filter(|p| (0.0..=1.0).contains(p)) else { return Vec::new() };
    if labels.is_bool() {
        return vec![1.0 - p, p];
    }
    let Some(said) = labels.place(&evidence.said) else { return Vec::new() };
    let n = labels.values().len();
    let rest = (1.0 - p) / (n - 1).max(1) as f64;
    (0..n).map(|i| if i == said { p } else { rest }).collect()
}

/// Masses as probabilities by the labels' texts; those of nothing are left out.
fn by_text(labels: &Labels, masses: &[f64]) -> BTreeMap<Arc<str>, f64> {
    let sum: f64 = masses.iter().sum();
    let pairs = labels.texts().iter().zip(masses).filter(|(_, mass)| **mass > 0.0);
    pairs.map(|(text, mass)| (text.clone(), rounded(mass / sum))).collect()
}

/// To six digits, so that files stay readable and equal on all machines.
fn rounded(p: f64) -> f64 {
    format!("{p:.5e}").parse().unwrap_or(p)
}

#[cfg(test)]
#[path = "evidence/tests.rs"]
mod tests;
