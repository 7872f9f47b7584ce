//! Probabilities to values.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::{Evidence, Rule};
use crate::names::suggestion;
use crate::types::{Kind, Type};

/// Most levels that a score may have.
pub const MOST_LEVELS: usize = 10;

/// The values that a decision is among, in the order in which they are declared.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    kind: LabelKind,
    values: Vec<Value>,
    texts: Vec<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LabelKind {
    Bool,
    Enum,
    Levels,
}

impl Labels {
    /// The labels of a type that can be decided: `false` and `true` of a bool, the values of an enum
    /// (or of a one-of constraint) of at least two, the levels of an int whose range has 2 to
    /// [`MOST_LEVELS`].
    pub fn of(ty: &Type) -> Option<Self> {
        let (kind, values) = match (&ty.kind, ty.choices()) {
            (_, Some(choices)) => (LabelKind::Enum, choices.to_vec()),
            (Kind::Bool, None) => (LabelKind::Bool, vec![false.into(), true.into()]),
            (Kind::Int, None) => (LabelKind::Levels, levels(ty)?),
            _ => return None,
        };
        let texts: Vec<Arc<str>> = values.iter().map(text).collect();
        let distinct: HashSet<&Arc<str>> = texts.iter().collect();
        let known = texts.len() > 1 && distinct.len() == texts.len();
        known.then_some(Self { kind, values, texts })
    }

    /// The values.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Their texts, by which evidence and weights name them.
    pub fn texts(&self) -> &[Arc<str>] {
        &self.texts
    }

    /// Whether they are `false` and `true`.
    pub fn is_bool(&self) -> bool {
        self.kind == LabelKind::Bool
    }

    /// Whether they are the levels of an int.
    pub fn is_levels(&self) -> bool {
        self.kind == LabelKind::Levels
    }

    /// The place of a value.
    pub fn place(&self, value: &Value) -> Option<usize> {
        let same = |v: &Value| v == value || (v.is_number() && v.as_f64() == value.as_f64());
        self.values.iter().position(same)
    }

    /// The probabilities in the labels' order, with the sum 1; `None` if nothing is known: there is
    /// no mass on any label, or a number makes no sense.
    pub fn probabilities(&self, evidence: &Evidence) -> Option<Vec<f64>> {
        let of = |text| evidence.labels.get(text).copied().unwrap_or(0.0);
        let p: Vec<f64> = self.texts.iter().map(of).collect();
        let sum: f64 = p.iter().sum();
        let sound = p.iter().all(|x| *x >= 0.0) && sum.is_finite() && sum > 0.0;
        sound.then(|| p.into_iter().map(|x| x / sum).collect())
    }
}

fn levels(ty: &Type) -> Option<Vec<Value>> {
    let min = ty.constraints.min.as_ref()?.as_i64()?;
    let max = ty.constraints.max.as_ref()?.as_i64()?;
    let steps = usize::try_from(max.checked_sub(min)?).ok()?;
    (1..MOST_LEVELS).contains(&steps).then(|| (min..=max).map(Value::from).collect())
}

fn text(value: &Value) -> Arc<str> {
    value.as_str().map_or_else(|| Arc::from(value.to_string()), Arc::from)
}

/// A rule for the labels it decides among: a pure function from evidence to a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Decider {
    labels: Labels,
    numbers: Numbers,
}

#[derive(Clone, Debug, PartialEq)]
enum Numbers {
    Threshold(f64),
    /// In the labels' order; the largest is 1.
    Weights(Vec<f64>),
    Cuts(Vec<f64>),
}

impl Decider {
    /// A rule for these labels.
    ///
    /// # Errors
    /// The rule is for another kind of labels, or a number makes no sense.
    pub fn new(labels: Labels, rule: &Rule) -> Result<Self, String> {
        let numbers = match rule {
            Rule::Threshold(at) => threshold(&labels, *at)?,
            Rule::Weights(weights) => {
                if labels.kind != LabelKind::Enum {
                    return Err("weights are for an enum".into());
                }
                if let Some(name) = weights.keys().find(|k| !labels.texts.contains(k)) {
                    let hint = suggestion(name, labels.texts.iter().map(|t| &**t));
                    return Err(format!("there is no label `{name}` to weigh{hint}"));
                }
                let of = |text| weights.get(text).copied().unwrap_or(1.0);
                scaled(labels.texts.iter().map(of).collect())?
            }
            Rule::Cuts(cuts) => self::cuts(&labels, cuts)?,
        };
        Ok(Self { labels, numbers })
    }

    /// What it decides among.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The place of the label decided for, from probabilities in the labels' order
    /// ([`Labels::probabilities`]) and the place of the label that was said.
    pub fn choose(&self, p: &[f64], said: Option<usize>) -> usize {
        match &self.numbers {
            Numbers::Threshold(at) => usize::from(p.get(1).is_some_and(|p| p >= at)),
            Numbers::Weights(weights) => heaviest(p, weights, said),
            Numbers::Cuts(cuts) => {
                let expected: f64 = p.iter().enumerate().map(|(i, p)| i as f64 * p).sum();
                cuts.iter().filter(|cut| **cut <= expected).count()
            }
        }
    }

    /// The value. Where nothing is known, it is what the LM said.
    ///
    /// ```
    /// use teleprompt_core::{Decider, Evidence, Labels, Rule, Type};
    /// let labels = Labels::of(&Type::enumeration(["spam", "ham"])).unwrap();
    /// let rule = Rule::Weights([("ham".into(), 3.0)].into());
    /// let evidence = Evidence {
    ///     said: "spam".into(),
    ///     labels: [("spam".into(), 0.7), ("ham".into(), 0.3)].into(),
    /// };
    /// assert_eq!(Decider::new(labels, &rule)?.decode(&evidence), "ham");
    /// # Ok::<(), String>(())
    /// ```
    pub fn decode(&self, evidence: &Evidence) -> Value {
        let decided = self.labels.probabilities(evidence).and_then(|p| {
            let place = self.choose(&p, self.labels.place(&evidence.said));
            self.labels.values.get(place).cloned()
        });
        decided.unwrap_or_else(|| evidence.said.clone())
    }
}

fn threshold(labels: &Labels, at: f64) -> Result<Numbers, String> {
    match labels.kind {
        LabelKind::Bool if at.is_finite() => Ok(Numbers::Threshold(at)),
        LabelKind::Bool => Err("the threshold must be a number".into()),
        LabelKind::Enum => Err("a threshold is for a bool; use weights".into()),
        LabelKind::Levels => Err("a threshold is for a bool; use cuts".into()),
    }
}

/// Only the ratio of weights matters.
fn scaled(weights: Vec<f64>) -> Result<Numbers, String> {
    let most = weights.iter().copied().fold(0.0, f64::max);
    let sound = weights.iter().all(|w| w.is_finite() && *w >= 0.0) && most > 0.0;
    if !sound {
        return Err("weights must be at least 0, and one of them above".into());
    }
    Ok(Numbers::Weights(weights.into_iter().map(|w| w / most).collect()))
}

fn cuts(labels: &Labels, cuts: &[f64]) -> Result<Numbers, String> {
    let n = labels.values.len();
    if labels.kind == LabelKind::Bool || n > MOST_LEVELS {
        return Err(format!("cuts are for 2 to {MOST_LEVELS} levels of an int or an enum"));
    }
    let ascending = cuts.iter().zip(cuts.iter().skip(1)).all(|(a, b)| a <= b);
    if cuts.len() + 1 != n || !ascending || cuts.iter().any(|c| !c.is_finite()) {
        let (wanted, got) = (n - 1, cuts.len());
        return Err(format!("{n} levels take {wanted} ascending cuts, and there are {got}"));
    }
    Ok(Numbers::Cuts(cuts.to_vec()))
}

fn heaviest(p: &[f64], weights: &[f64], said: Option<usize>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (i, (p, weight)) in p.iter().zip(weights).enumerate() {
        let product = p * weight;
        if product > best.1 || (product == best.1 && said == Some(i)) {
            best = (i, product);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ty: &str) -> Labels {
        let signature: crate::Signature = format!("a -> b: {ty}").parse().unwrap();
        Labels::of(&signature.outputs()[0].ty).unwrap()
    }

    fn decide(ty: &str, rule: Rule, said: Value, p: &[(&str, f64)]) -> Value {
        let labels_of = p.iter().map(|(label, p)| (Arc::from(*label), *p)).collect();
        let decider = Decider::new(labels(ty), &rule).unwrap();
        decider.decode(&Evidence { said, labels: labels_of })
    }

    #[test]
    fn a_threshold_includes_itself() {
        let at = |p: f64| {
            decide("bool", Rule::Threshold(0.7), false.into(), &[("true", p), ("false", 1.0 - p)])
        };
        assert_eq!((at(0.7), at(0.69)), (true.into(), false.into()));
    }

    #[test]
    fn weights_move_the_choice_and_ties_go_to_what_was_said() {
        let ty = r#"enum["a", "b", "c"]"#;
        let even = [("a", 0.4), ("b", 0.4), ("c", 0.2)];
        let none = || Rule::Weights([].into());
        assert_eq!(decide(ty, none(), "b".into(), &even), "b");
        assert_eq!(decide(ty, none(), "c".into(), &even), "a");
        let c = Rule::Weights([("c".into(), 2.5)].into());
        assert_eq!(decide(ty, c, "a".into(), &even), "c");
    }

    #[test]
    fn cuts_are_counted_below_the_expected_level() {
        let decide = |cuts: &[f64], p: &[(&str, f64)]| {
            decide("int(1..3)", Rule::Cuts(cuts.to_vec()), 1.into(), p)
        };
        // The expected level is 0.9, from 0.
        let p = [("1", 0.3), ("2", 0.5), ("3", 0.2)];
        assert_eq!(decide(&[0.5, 1.5], &p), 2);
        assert_eq!(decide(&[0.5, 0.8], &p), 3);
        assert_eq!(decide(&[1.0, 1.5], &p), 1);
        let poor = r#"enum["poor", "fair"]"#;
        assert_eq!(
            super::tests::decide(poor, Rule::even_cuts(2), "poor".into(), &[("fair", 1.0)]),
            "fair"
        );
    }

    #[test]
    fn without_evidence_the_lm_has_its_way() {
        let at = |p: &[(&str, f64)]| decide("bool", Rule::Threshold(0.0), false.into(), p);
        for p in [&[][..], &[("true", 0.0)], &[("true", f64::NAN)], &[("true", f64::INFINITY)]] {
            assert_eq!(at(p), false, "{p:?}");
        }
        assert_eq!(at(&[("true", 1e-300)]), true);
    }

    #[test]
    fn rules_that_do_not_fit_are_told() {
        let error = |ty: &str, rule: Rule| Decider::new(labels(ty), &rule).unwrap_err();
        let cases = [
            ("int(0..4)", Rule::Threshold(0.5), "use cuts"),
            ("bool", Rule::Threshold(f64::NAN), "must be a number"),
            ("bool", Rule::even_cuts(2), "2 to 10 levels"),
            ("int(0..4)", Rule::Cuts(vec![0.5]), "5 levels take 4"),
            ("int(0..2)", Rule::Cuts(vec![1.5, 0.5]), "ascending"),
            (r#"enum["a", "b"]"#, Rule::Weights([("c".into(), 1.0)].into()), "no label `c`"),
            (r#"enum["a", "b"]"#, Rule::Weights([("a".into(), -1.0)].into()), "at least 0"),
        ];
        for (ty, rule, part) in cases {
            let error = error(ty, rule);
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn only_few_values_can_be_decided() {
        let some = |ty: &str| {
            let signature: crate::Signature = format!("a -> b: {ty}").parse().unwrap();
            Labels::of(&signature.outputs()[0].ty).is_some()
        };
        for ty in ["bool", r#"enum["a", "b"]"#, "int(1..10)", "int(-1..1)"] {
            assert!(some(ty), "{ty}");
        }
        for ty in ["str", "float", "int", "int(1..11)", "int(1..1)", r#"enum["a"]"#, "bool?"] {
            assert!(!some(ty), "{ty}");
        }
    }
}
