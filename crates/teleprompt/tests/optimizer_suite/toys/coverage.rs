//! Demonstrations: the LM knows the label of a kind only when a demonstration of that kind is shown,
//! and most train examples are of one kind.

use std::sync::Arc;

use teleprompt::data::Rng;
use teleprompt::{MetricHandle, Program, Record};

use crate::optimizer_suite::lm::{Ask, Brain, Dice};
use crate::optimizer_suite::toy::{
    ANSWER, Toy, choose, dataset, exact, labelled, predict, section, showing,
};

const LABELS: [&str; 8] = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"];
const KINDS: [&str; 8] = ["brown", "white", "black", "green", "yellow", "purple", "grey", "orange"];
const SHOWN: usize = 8;
const TRAIN: usize = 40;

struct Kinds(Vec<usize>);

fn kind_in(text: &str) -> Option<usize> {
    let at = text.rfind("kind ")? + 5;
    let name = text[at..].split_whitespace().next()?;
    KINDS.iter().position(|kind| *kind == name)
}

impl Brain for Kinds {
    fn reply(&self, ask: &Ask<'_>, _: &mut Dice) -> String {
        let Some(kind) = kind_in(ask.question()) else { return section(ANSWER, LABELS[0]) };
        let label = LABELS[self.0[kind]];
        let shown = |(user, assistant): (&str, &str)| {
            kind_in(user) == Some(kind) && assistant.contains(label)
        };
        let knows = ask.demos().into_iter().any(shown);
        section(ANSWER, if knows { label } else { LABELS[0] })
    }
}

/// Candidates are sets of eight train examples.
pub fn coverage(seed: u64) -> Toy {
    let mut rng = Rng::new(seed).derive("coverage");
    let mut labels: Vec<usize> = (0..LABELS.len()).collect();
    rng.shuffle(&mut labels);
    let example = |(i, kind): (usize, usize)| {
        labelled(format!("case {i} of kind {}", KINDS[kind]), LABELS[labels[kind]])
    };
    // Two of each kind but the first, which has the rest.
    let mut kinds: Vec<usize> = (0..TRAIN).map(|i| if i < 14 { 1 + i / 2 } else { 0 }).collect();
    rng.shuffle(&mut kinds);
    let train = dataset(kinds.into_iter().enumerate().map(example));
    let even = |from: usize, n: usize| dataset((from..from + n).map(|i| example((i, i % 8))));
    let pool: Vec<Record> = train.iter().map(|e| e.fields.clone()).collect();
    Toy {
        program: Program::new(predict(&format!("text -> toy_answer: enum{LABELS:?}"))),
        val: even(100, 16),
        test: even(200, 40),
        metric: MetricHandle::new(exact),
        draw: Arc::new(move |rng| {
            let places = rng.sample(pool.len(), SHOWN);
            showing("predict", places.into_iter().map(|i| pool[i].clone()).collect())
        }),
        space: choose(TRAIN as u64, SHOWN as u64),
        budget: 24,
        steps: 1,
        brain: Arc::new(Kinds(labels)),
        train,
    }
}
