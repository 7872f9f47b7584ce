//! Demonstrations for a program of two steps: only the first one needs any, and no example says what
//! it should have answered.

use std::sync::Arc;

use teleprompt::MetricHandle;
use teleprompt::data::Rng;
use teleprompt::prelude::*;

use crate::optimizer_suite::lm::{Ask, Brain, Dice};
use crate::optimizer_suite::toy::{
    ANSWER, Toy, dataset, exact, labelled, predict, section, showing,
};

const TRAIN: usize = 40;
const KINDS: usize = 8;
const MOST: usize = 4;
const CODE: &str = "toy_code";

/// A step finds a code, another one the answer that belongs to it.
#[derive(Module, Clone)]
pub struct TwoSteps {
    pub code: Predict,
    pub answer: Predict,
}

impl Module for TwoSteps {
    type Input = Record;
    type Output = Record;

    async fn forward(&self, cx: &Context, input: Record) -> Result<Prediction> {
        let code = self.code.call(cx, input.clone()).await?;
        let mut inputs = input;
        inputs.insert(CODE, code[CODE].clone());
        self.answer.call(cx, inputs).await
    }
}

pub fn two_steps() -> Program {
    let code = predict("text -> toy_code");
    Program::new(TwoSteps { code, answer: predict("text, toy_code -> toy_answer") })
}

/// The code of each kind.
struct Codes(Vec<usize>);

fn number_after(text: &str, what: &str) -> Option<usize> {
    let at = text.rfind(what)? + what.len();
    text[at..].split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

impl Codes {
    fn code(&self, text: &str) -> Option<usize> {
        self.0.get(number_after(text, "kind ")?).copied()
    }

    fn knowledge(&self, ask: &Ask<'_>) -> f64 {
        let demos = ask.demos();
        let right = |(user, said): &(&str, &str)| self.code(user) == number_after(said, "code-");
        match demos.len() {
            0 => 0.3,
            _ if !demos.iter().all(right) => 0.1,
            1 => 0.6,
            _ => 1.0,
        }
    }
}

impl Brain for Codes {
    fn reply(&self, ask: &Ask<'_>, dice: &mut Dice) -> String {
        if ask.outputs() == [CODE] {
            let known = self.code(ask.question()).filter(|_| dice.luck < self.knowledge(ask));
            let said = known.map_or("no code".to_owned(), |code| format!("code-{code}"));
            return section(CODE, &said);
        }
        let label = number_after(ask.question(), "code-").map_or("none".to_owned(), label);
        section(ANSWER, &label)
    }
}

fn label(code: usize) -> String {
    format!("L{code}")
}

/// Candidates are up to four train examples with any codes for the first step.
pub fn steps(seed: u64) -> Toy {
    let mut rng = Rng::new(seed).derive("steps");
    let mut codes: Vec<usize> = (0..KINDS).collect();
    rng.shuffle(&mut codes);
    let text = |i: usize| format!("case {i} of kind {}", i % KINDS);
    let part = |from: usize, n: usize| {
        dataset((from..from + n).map(|i| labelled(text(i), &label(codes[i % KINDS]))))
    };
    let demo = move |rng: &mut Rng| {
        let (i, code) = (rng.below(TRAIN), rng.below(KINDS));
        record! { text: text(i), toy_code: format!("code-{code}") }
    };
    Toy {
        program: two_steps(),
        train: part(0, TRAIN),
        val: part(100, 16),
        test: part(200, 40),
        metric: MetricHandle::new(exact),
        draw: Arc::new(move |rng| {
            let k = 1 + rng.below(MOST);
            showing("code", (0..k).map(|_| demo(rng)).collect())
        }),
        space: (1..=MOST as i32).map(|k| ((TRAIN * KINDS) as f64).powi(k)).sum(),
        budget: 20,
        steps: 2,
        brain: Arc::new(Codes(codes.clone())),
    }
}
