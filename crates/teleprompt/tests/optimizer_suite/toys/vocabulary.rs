//! Instructions: they have to hold three words out of 28. An LM that is shown the data finds the
//! likely ones; one that is shown past attempts with their scores finds out which of their words did
//! it.

use std::sync::Arc;

use teleprompt::data::Rng;
use teleprompt::{MetricHandle, Program, Record};

use super::steps::two_steps;
use crate::optimizer_suite::lm::{Ask, Brain, Dice};
use crate::optimizer_suite::toy::{
    ANSWER, Toy, choose, dataset, exact, labelled, predict, saying, section,
};

const WORDS: [&str; 28] = [
    "alder", "ash", "aspen", "beech", "birch", "cedar", "cherry", "cypress", "elder", "elm", "fir",
    "hazel", "holly", "juniper", "larch", "laurel", "lime", "maple", "myrtle", "oak", "olive",
    "pine", "poplar", "rowan", "spruce", "sumac", "willow", "yew",
];
const NEEDED: usize = 3;
const HELD: usize = 4;

/// What instructions hold: places in [`WORDS`].
type Set = Vec<usize>;

struct Vocabulary {
    needed: Set,
    labels: Vec<String>,
    /// The output of the step whose instructions matter.
    needs: &'static str,
    /// Whether demonstrations are needed, too; any two will do.
    demos: bool,
}

fn words_in(text: &str) -> Set {
    let tokens = text.split(|c: char| !c.is_alphanumeric());
    let mut set: Set = tokens.filter_map(|t| WORDS.iter().position(|w| *w == t)).collect();
    set.sort_unstable();
    set.dedup();
    set
}

fn sentence(set: &[usize]) -> String {
    let words: Vec<&str> = set.iter().map(|i| WORDS[*i]).collect();
    format!("Mind {}.", words.join(", "))
}

/// Lines that tell the score of an attempt, such as `score 45.0 of 100: Mind oak.`
fn attempts(text: &str) -> Vec<(Set, f64)> {
    let read = |line: &str| {
        let (_, after) = line.split_once("score ")?;
        let score = after.split_whitespace().next()?.trim_end_matches(':').parse().ok()?;
        Some((words_in(after), score))
    };
    text.lines().filter_map(read).collect()
}

/// All sets of words that may be the needed ones: higher scores are due to more of them.
fn likely(attempts: &mut [(Set, f64)]) -> Vec<Set> {
    attempts.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mask = |set: &[usize]| set.iter().fold(0u32, |mask, i| mask | 1 << i);
    let attempts: Vec<(u32, f64)> =
        attempts.iter().map(|(set, score)| (mask(set), *score)).collect();
    let fits = |set: &Set| {
        let needed = mask(set);
        let (mut below, mut group, mut last) = (-1, -1, f64::NEG_INFINITY);
        attempts.iter().all(|(held, score)| {
            let hits = (held & needed).count_ones() as i32;
            if *score > last {
                (below, last) = (group, *score);
            }
            group = group.max(hits);
            hits > below
        })
    };
    let n = WORDS.len();
    let triples = (0..n).flat_map(|a| (0..a).flat_map(move |b| (0..b).map(move |c| vec![a, b, c])));
    triples.filter(fits).collect()
}

/// A likely set, if there are attempts to learn from, filled up at random from what the prompt speaks
/// of, or from all words.
fn propose(text: &str, rng: &mut Rng) -> Set {
    let mut attempts = attempts(text);
    let facts: String = text.lines().filter(|l| !l.contains("score ")).collect();
    let mut pool = words_in(&facts);
    if pool.len() < HELD {
        pool = (0..WORDS.len()).collect();
    }
    let mut set = match attempts.is_empty() {
        true => Set::new(),
        false => rng.choose(&likely(&mut attempts)).cloned().unwrap_or_default(),
    };
    rng.shuffle(&mut pool);
    pool.retain(|word| !set.contains(word));
    set.extend(pool.into_iter().take(HELD - set.len()));
    set.sort_unstable();
    set
}

impl Vocabulary {
    fn answer(&self, ask: &Ask<'_>, output: &str, luck: f64) -> String {
        let held = words_in(ask.system());
        let hits = self.needed.iter().filter(|w| held.contains(w)).count();
        let known = match self.demos {
            true if ask.demos().len() < 2 => 0.1 + 0.2 * hits as f64,
            true => 0.4 + 0.2 * hits as f64,
            false => 0.2 + 0.27 * hits as f64,
        };
        let knows = output != self.needs || luck < known;
        let case = ask.case().unwrap_or_default();
        match (output == ANSWER, knows) {
            // A step that was told nothing says nothing.
            (true, true) if !ask.question().contains("no code") => self.labels[case].clone(),
            (true, _) => "none".into(),
            (false, true) => format!("code-{case}"),
            (false, false) => "no code".into(),
        }
    }
}

impl Brain for Vocabulary {
    fn reply(&self, ask: &Ask<'_>, dice: &mut Dice) -> String {
        let mut write = |name: &&str| {
            let value = match *name {
                ANSWER | "toy_code" => self.answer(ask, name, dice.luck),
                "instructions" | "new_instructions" => {
                    sentence(&propose(ask.question(), &mut dice.rng))
                }
                // Whoever sums up the data repeats what they are about.
                _ => sentence(&words_in(ask.question())),
            };
            section(name, &value)
        };
        ask.outputs().iter().map(&mut write).collect()
    }
}

/// Candidates are instructions with four of the words.
pub fn vocabulary(seed: u64) -> Toy {
    toy(seed, Program::new(predict("text -> toy_answer")), ANSWER, false)
}

/// The same for the first of two steps; what the second one is told changes nothing.
pub fn vocabulary_in_steps(seed: u64) -> Toy {
    toy(seed, two_steps(), "toy_code", false)
}

/// The same, and without demonstrations the words alone are not enough.
pub fn vocabulary_and_demos(seed: u64) -> Toy {
    let mut toy = toy(seed, Program::new(predict("text -> toy_answer")), ANSWER, true);
    let pool: Vec<Record> = toy.train.iter().map(|e| e.fields.clone()).collect();
    let words = toy.draw.clone();
    toy.draw = Arc::new(move |rng| {
        let mut state = words(rng);
        let k = rng.below(5);
        let demos = rng.sample(pool.len(), k).into_iter().map(|i| pool[i].clone()).collect();
        let mut parameters = state.get("predict").map(|p| (**p).clone()).unwrap_or_default();
        parameters.demos = Some(demos);
        state.insert("predict", parameters);
        state
    });
    toy
}

fn toy(seed: u64, program: Program, needs: &'static str, demos: bool) -> Toy {
    let (path, steps) = if needs == ANSWER { ("predict", 1) } else { ("code", 2) };
    let mut rng = Rng::new(seed).derive("vocabulary");
    let mut order: Set = (0..WORDS.len()).collect();
    rng.shuffle(&mut order);
    // The data speak of the words that are needed and of as many others.
    let (needed, others) = (order[..NEEDED].to_vec(), order[NEEDED..2 * NEEDED].to_vec());
    let labels: Vec<String> = (0..300).map(|_| format!("L{}", rng.below(6))).collect();
    let example = |i: usize| {
        let (a, b) = (WORDS[needed[i % NEEDED]], WORDS[others[i / NEEDED % NEEDED]]);
        labelled(format!("case {i} under {a} and {b}"), &labels[i])
    };
    let part = |from: usize, n: usize| dataset((from..from + n).map(example));
    Toy {
        program,
        train: part(0, 30),
        val: part(100, 16),
        test: part(200, 40),
        metric: MetricHandle::new(exact),
        draw: Arc::new(move |rng| saying(path, sentence(&rng.sample(WORDS.len(), HELD)))),
        space: choose(WORDS.len() as u64, HELD as u64),
        budget: 40 + 20 * steps,
        steps,
        brain: Arc::new(Vocabulary { needed, labels, needs, demos }),
    }
}
