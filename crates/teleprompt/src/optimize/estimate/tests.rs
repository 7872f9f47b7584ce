use std::time::Duration;

use serde_json::Value;
use teleprompt_core::{Error, Example, LmError, LmErrorKind, LmResponse, record};

use super::*;
use crate::adapter::ChatAdapter;
use crate::evaluate::metrics;
use crate::module::{ChainOfThought, Predict};
use crate::optimize::teleprompter::{BootstrapFewShot, LabeledFewShot};
use crate::optimize::{Candidate, Cost, Task};

/// Counts a token a message; is never called.
struct Counter {
    name: &'static str,
    price: Option<Price>,
    counts: bool,
}

impl Lm for Counter {
    async fn generate(&self, _: &LmRequest) -> Result<LmResponse, LmError> {
        Err(LmError::new(LmErrorKind::Unsupported, self.name, "an estimate calls no LM"))
    }
    fn name(&self) -> &str {
        self.name
    }
    fn count_tokens(&self, request: &LmRequest) -> Option<u64> {
        self.counts.then_some(request.messages.len() as u64)
    }
    fn price(&self) -> Option<Price> {
        self.price
    }
}

fn lm(name: &'static str, dollars: Option<f64>, counts: bool) -> LmHandle {
    let price = dollars.map(|d| Price::per_million(d * 1e6, 0.0));
    LmHandle::new(Counter { name, price, counts })
}

fn context(dollars: Option<f64>, counts: bool) -> Context {
    Context::new(lm("own", dollars, counts), Arc::new(ChatAdapter))
}

fn data(n: usize) -> Dataset {
    let example = |i: usize| {
        let text = format!("text {i} {}", i * 7919);
        Example::new(record! { text: text, label: if i % 2 == 1 { "b" } else { "a" } }, ["text"])
    };
    Dataset::new("made up", (0..n).map(example).collect::<Vec<_>>())
}

fn program() -> Predict {
    Predict::of(r#"text -> label: enum["a", "b"]"#).unwrap()
}

/// Needs what it says.
struct Needs(Cost);

impl Optimizer for Needs {
    fn name(&self) -> &'static str {
        "needs"
    }
    fn settings(&self) -> Value {
        Value::Null
    }
    fn validates(&self) -> bool {
        false
    }
    fn cost(&self, _: Sizes) -> Cost {
        self.0
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        Ok(task.base().clone())
    }
}

fn needs(runs: u64, questions: u64) -> Compiler<Needs> {
    Needs(Cost { runs, questions }).compiler(metrics::exact_match("label"))
}

#[test]
fn runs_calls_tokens_and_money_are_counted_with_the_final_evaluation() {
    let cx = context(Some(0.5), true);
    let test = data(10);
    let estimate = needs(100, 0).test(&test).estimate(&cx, &program(), &data(40)).unwrap();
    assert_eq!((estimate.final_runs, estimate.runs, estimate.lm_calls), (20, 120, 120));
    // A system and a user message are two of its tokens, half a dollar each.
    assert_eq!(estimate.prompt_tokens, 240);
    assert_eq!(estimate.cost, Some(Money::dollars(120.0)));
    assert!(estimate.unpriced.is_empty());
    assert!(estimate.to_string().contains("counted by the LM"), "{estimate}");
    let rough = needs(100, 0).test(&test).estimate(&context(None, false), &program(), &data(40));
    let rough = rough.unwrap();
    assert!(rough.prompt_tokens > 120 * 20, "a system message of some length: {rough:?}");
    assert_eq!((rough.cost, rough.unpriced.len()), (None, 1));
    assert!(rough.to_string().contains("the price of own is unknown"), "{rough}");
}

#[test]
fn it_holds_what_a_compile_of_the_recipe_may_take() {
    let cx = context(Some(0.0), true);
    let compiler = BootstrapFewShot::default().compiler(metrics::exact_match("label"));
    let estimate = compiler.estimate(&cx, &program(), &data(80)).unwrap();
    // 60 train examples after 20 were held back: each tried once, 48 of them to calibrate.
    assert_eq!((estimate.final_runs, estimate.runs), (40, 60 + 48 + 40));
    assert_eq!(estimate.cost, Some(Money::ZERO));
}

#[test]
fn outputs_that_no_example_shows_are_not_free() {
    let cx = context(None, true);
    let plain = needs(1, 0).estimate(&cx, &program(), &data(40)).unwrap();
    let reasoned = ChainOfThought::of(r#"text -> label: enum["a", "b"]"#).unwrap();
    let reasoned = needs(1, 0).estimate(&cx, &reasoned, &data(40)).unwrap();
    assert!(reasoned.completion_tokens >= plain.completion_tokens + UNSEEN_OUTPUT);
}

#[test]
fn the_dearer_teacher_the_writer_and_the_choice_of_lms_are_in_it() {
    let cx = context(Some(0.0), true).with_named_lm("big", lm("big", Some(1.0), true));
    let (test, dear) = (data(4), context(Some(1.0), true));
    let money = |compiler: Compiler<Needs>| {
        let estimate = compiler.test(&test).estimate(&cx, &program(), &data(40)).unwrap();
        (estimate.lm_calls, estimate.cost.unwrap().as_dollars())
    };
    assert_eq!(money(needs(10, 0)), (18, 0.0));
    assert_eq!(money(needs(10, 0).teacher_context(dear.clone())), (18, 20.0));
    let (calls, dollars) = money(needs(10, 5).prompt_context(dear));
    assert_eq!((calls, dollars), (23, 5.0 * QUESTION.0 as f64));
    // 13 validation examples are set aside for the choice: the start, and one trial.
    assert_eq!(money(needs(10, 0).lms(["big"])), (18 + 26, 52.0));
    let unknown = needs(1, 0).lms(["small"]).estimate(&cx, &program(), &data(40));
    assert!(matches!(unknown, Err(Error::Config(_))));
}

#[test]
fn nothing_to_train_on_is_no_failure() {
    let compiler = LabeledFewShot::default().compiler(metrics::exact_match("label"));
    let estimate = compiler.estimate(&context(None, false), &program(), &data(0)).unwrap();
    assert_eq!((estimate.runs, estimate.prompt_tokens), (0, 0));
    assert!(estimate.to_string().contains("nothing to pay"), "{estimate}");
}

#[test]
fn limits_below_it_are_told() {
    let cx = context(Some(0.5), true);
    let estimate = needs(100, 0).test(&data(10)).estimate(&cx, &program(), &data(40)).unwrap();
    let limits = Limits {
        calls: Some(50),
        tokens: Some(u64::MAX),
        cost: Some(Money::dollars(1.0)),
        time: Some(Duration::ZERO),
    };
    let over = estimate.over(&limits);
    assert_eq!(over.len(), 2, "{over:?}");
    assert!(over[0].contains("120 LM calls are more than the limit of 50"));
    assert!(over[1].contains("$120.00 is more than the limit of $1.00"));
    assert!(estimate.over(&Limits::default()).is_empty());
}
