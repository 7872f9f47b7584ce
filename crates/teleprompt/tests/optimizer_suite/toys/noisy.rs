//! Demonstrations: most labels are wrong, one wrong demonstration spoils all, and of the right ones
//! only some help. What is wrong shows when the LM answers the example itself.

use std::sync::Arc;

use teleprompt::data::Rng;
use teleprompt::{Example, MetricHandle, Program, Record};

use crate::optimizer_suite::lm::{Ask, Brain, Dice, case_in};
use crate::optimizer_suite::toy::{
    ANSWER, Toy, choose, dataset, exact, labelled, predict, section, showing,
};

const TRAIN: usize = 84;
const CLEAN: usize = 22;
const MOST: usize = 4;
const LABELS: usize = 6;

struct Facts {
    /// By case.
    labels: Vec<String>,
    /// Train cases whose demonstration helps.
    helps: Vec<bool>,
}

impl Facts {
    /// How much the LM knows with these demonstrations, from 0 to 1.
    fn knowledge(&self, ask: &Ask<'_>) -> f64 {
        let mut known = 0.4;
        for (user, assistant) in ask.demos() {
            let Some(case) = case_in(user) else { continue };
            if !assistant.contains(&*self.labels[case]) {
                return 0.4;
            }
            known += if self.helps.get(case) == Some(&true) { 0.2 } else { 0.0 };
        }
        known
    }
}

impl Brain for Facts {
    fn reply(&self, ask: &Ask<'_>, dice: &mut Dice) -> String {
        let Some(case) = ask.case() else { return section(ANSWER, "unsure") };
        let knows = dice.luck < self.knowledge(ask);
        section(ANSWER, if knows { &self.labels[case] } else { "unsure" })
    }
}

/// Candidates are one to four train examples.
pub fn noisy(seed: u64) -> Toy {
    let mut rng = Rng::new(seed).derive("noisy");
    let labels: Vec<String> = (0..300).map(|_| format!("L{}", rng.below(LABELS))).collect();
    let mut order: Vec<usize> = (0..TRAIN).collect();
    rng.shuffle(&mut order);
    // Of the clean ones four in five help; the others' labels are another's.
    let mut helps = vec![false; TRAIN];
    order.iter().enumerate().for_each(|(n, i)| helps[*i] = n < CLEAN && n % 5 < 4);
    let clean: Vec<bool> =
        (0..TRAIN).map(|i| order.iter().position(|o| *o == i).unwrap() < CLEAN).collect();
    let text = |i: usize| format!("case {i} said in passing");
    let train: Vec<Example> = (0..TRAIN)
        .map(|i| if clean[i] { labelled(text(i), &labels[i]) } else { labelled(text(i), "L9") })
        .collect();
    let true_to_fact =
        |from: usize, n: usize| dataset((from..from + n).map(|i| labelled(text(i), &labels[i])));
    let pool: Vec<Record> = train.iter().map(|e| e.fields.clone()).collect();
    Toy {
        program: Program::new(predict("text -> toy_answer")),
        train: dataset(train),
        val: true_to_fact(100, 20),
        test: true_to_fact(200, 40),
        metric: MetricHandle::new(exact),
        draw: Arc::new(move |rng| {
            let k = 1 + rng.below(MOST);
            let places = rng.sample(pool.len(), k);
            showing("predict", places.into_iter().map(|i| pool[i].clone()).collect())
        }),
        space: (1..=MOST as u64).map(|k| choose(TRAIN as u64, k)).sum(),
        budget: 24,
        steps: 1,
        brain: Arc::new(Facts { labels, helps }),
    }
}
