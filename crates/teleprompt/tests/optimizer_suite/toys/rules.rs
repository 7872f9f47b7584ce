//! Reflection: the right word for each topic can only be learnt from what the metric says, from the
//! runs that went well, or from the labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use teleprompt::MetricHandle;
use teleprompt::data::Rng;
use teleprompt::prelude::*;

use crate::optimizer_suite::lm::{Ask, Brain, Dice, hash};
use crate::optimizer_suite::toy::{ANSWER, Toy, dataset, labelled, predict, saying, section};

const TOPICS: [&str; 4] = ["topic_harbour", "topic_market", "topic_orchard", "topic_quarry"];
const WORDS: [&str; 8] = ["amber", "coral", "flint", "ivory", "jasper", "onyx", "pearl", "topaz"];

/// Where the LM that writes can learn the words from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The metric's feedback names the right word.
    Feedback,
    /// The metric says nothing; runs at a temperature are right now and then.
    Runs,
    /// The train examples have labels, and the metric says nothing.
    Labels,
}

/// What is done to the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesson {
    Whole,
    /// It is not there.
    Removed,
    /// Each example has another one's.
    Shuffled,
}

struct Topics {
    /// The place of the right word, by topic.
    words: Vec<usize>,
    source: Source,
    lesson: Lesson,
}

/// A token that means something, in the order of the text.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    Topic(usize),
    /// A rule: `use_coral`.
    Use(usize),
    /// Feedback: `must_coral`.
    Must(usize),
    /// An answer: `coral`.
    Said(usize),
    Score(f64),
}

fn tokens(text: &str) -> Vec<Token> {
    let word = |t: &str| WORDS.iter().position(|w| *w == t);
    let mut scored = false;
    let mut read = |t: &str| {
        if let Some(topic) = TOPICS.iter().position(|topic| *topic == t) {
            return Some(Token::Topic(topic));
        }
        if let Ok(score) = t.trim_end_matches(['.', '%']).parse::<f64>()
            && std::mem::take(&mut scored)
        {
            return Some(Token::Score(score));
        }
        scored = t.eq_ignore_ascii_case("score") || (scored && !t.contains(char::is_alphabetic));
        match (t.strip_prefix("use_"), t.strip_prefix("must_")) {
            (Some(w), _) => word(w).map(Token::Use),
            (_, Some(w)) => word(w).map(Token::Must),
            _ => word(t).map(Token::Said),
        }
    };
    let cut = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '%'));
    text.split(cut).filter_map(|t| read(t.trim_end_matches('.'))).collect()
}

/// The rules that stand in a text: the last one of each topic.
fn rules_in(text: &str) -> BTreeMap<usize, usize> {
    let (mut rules, mut topic) = (BTreeMap::new(), None);
    for token in tokens(text) {
        match (token, topic) {
            (Token::Topic(t), _) => topic = Some(t),
            (Token::Use(word), Some(t)) => drop(rules.insert(t, word)),
            _ => {}
        }
    }
    rules
}

/// What experience says in favour of each word, by topic.
fn votes(tokens: &[Token]) -> BTreeMap<(usize, usize), f64> {
    let mut votes: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    let scored = tokens.iter().any(|t| matches!(t, Token::Score(_)));
    let (mut topic, mut said) = (None, Vec::new());
    for token in tokens {
        match (*token, topic) {
            (Token::Topic(t), _) => {
                topic = Some(t);
                said.clear();
            }
            (Token::Must(word), Some(t)) => *votes.entry((t, word)).or_default() += 10.0,
            (Token::Said(word), Some(t)) if scored => said.push((t, word)),
            (Token::Said(word), Some(t)) => *votes.entry((t, word)).or_default() += 1.0,
            (Token::Score(score), _) => {
                let good = if score > 0.0 { 3.0 } else { -1.0 };
                said.drain(..).for_each(|key| *votes.entry(key).or_default() += good);
            }
            _ => {}
        }
    }
    votes
}

/// What was learnt over what stood there before; where that is nothing, a guess, if there may be one.
fn learn(text: &str, guess: Option<&mut Rng>) -> BTreeMap<usize, usize> {
    let mut rules = rules_in(text);
    let votes = votes(&tokens(text));
    for topic in 0..TOPICS.len() {
        let of_topic = votes.iter().filter(|((t, _), n)| *t == topic && **n > 0.0);
        if let Some(((_, word), _)) = of_topic.max_by(|a, b| a.1.total_cmp(b.1)) {
            rules.insert(topic, *word);
        }
    }
    let unknown: Vec<usize> = (0..TOPICS.len()).filter(|t| !rules.contains_key(t)).collect();
    if let Some(rng) = guess
        && let Some(topic) = rng.choose(&unknown)
    {
        rules.insert(*topic, rng.below(WORDS.len()));
    }
    rules
}

fn written(rules: &BTreeMap<usize, usize>) -> String {
    let line = |(t, w): (&usize, &usize)| format!("For {} answer use_{}", TOPICS[*t], WORDS[*w]);
    let lines: Vec<String> = rules.iter().map(line).collect();
    if lines.is_empty() { "Look closely.".into() } else { lines.join("\n") }
}

impl Topics {
    fn answer(&self, ask: &Ask<'_>, luck: f64) -> usize {
        let topic = tokens(ask.question()).into_iter().find_map(|t| match t {
            Token::Topic(topic) => Some(topic),
            _ => None,
        });
        let rule = topic.and_then(|t| rules_in(ask.system()).get(&t).copied());
        rule.unwrap_or((luck * WORDS.len() as f64) as usize)
    }

    /// What the LM sees of a prompt about runs or labelled examples.
    fn seen(&self, text: &str, rng: &mut Rng) -> String {
        match (self.source, self.lesson) {
            (Source::Feedback, _) | (_, Lesson::Whole) => text.to_owned(),
            (_, Lesson::Removed) => WORDS.iter().fold(text.to_owned(), |t, w| hide(&t, w)),
            (_, Lesson::Shuffled) => shuffled(text, rng),
        }
    }
}

/// A text without an answer; rules are left.
fn hide(text: &str, word: &str) -> String {
    text.replace(&format!("_{word}"), "_\u{0}")
        .replace(word, "…")
        .replace("_\u{0}", &format!("_{word}"))
}

/// A text in which each answer stands where another one stood.
fn shuffled(text: &str, rng: &mut Rng) -> String {
    let mut places: Vec<(usize, &str)> = WORDS.iter().flat_map(|w| text.match_indices(w)).collect();
    places.retain(|(at, _)| !text[..*at].ends_with('_'));
    places.sort_unstable();
    let mut words: Vec<&str> = places.iter().map(|p| p.1).collect();
    rng.shuffle(&mut words);
    let (mut out, mut from) = (String::new(), 0);
    for ((at, old), new) in places.iter().zip(words) {
        out.push_str(&text[from..*at]);
        out.push_str(new);
        from = at + old.len();
    }
    out + &text[from..]
}

impl Brain for Topics {
    fn reply(&self, ask: &Ask<'_>, dice: &mut Dice) -> String {
        let mut write = |name: &&str| {
            if *name == ANSWER {
                return section(name, WORDS[self.answer(ask, dice.luck)]);
            }
            let seen = self.seen(ask.question(), &mut dice.rng);
            // A wrong rule makes all runs alike, so that nothing could be learnt from them any more.
            let guess = (self.source == Source::Feedback).then_some(&mut dice.rng);
            section(name, &written(&learn(&seen, guess)))
        };
        ask.outputs().iter().map(&mut write).collect()
    }
}

/// Candidates are instructions with a word for each topic.
pub fn rules(seed: u64, source: Source, lesson: Lesson) -> Toy {
    let mut rng = Rng::new(seed).derive("rules");
    let mut words: Vec<usize> = (0..WORDS.len()).collect();
    rng.shuffle(&mut words);
    words.truncate(TOPICS.len());
    let text = |i: usize| format!("case {i} about {}", TOPICS[i % TOPICS.len()]);
    let example = |i: usize| match source {
        Source::Labels => labelled(text(i), WORDS[words[i % TOPICS.len()]]),
        _ => Example::new(record! { text: text(i) }, ["text"]),
    };
    let part = |from: usize, n: usize| dataset((from..from + n).map(example));
    Toy {
        program: Program::new(predict("text -> toy_answer")),
        train: part(0, 32),
        val: part(100, 16),
        test: part(200, 40),
        metric: MetricHandle::new(metric(words.clone(), source, lesson)),
        draw: Arc::new(|rng| {
            let any = (0..TOPICS.len()).map(|t| (t, rng.below(WORDS.len()))).collect();
            saying("predict", written(&any))
        }),
        space: (WORDS.len() as f64).powi(TOPICS.len() as i32),
        budget: 60,
        steps: 1,
        brain: Arc::new(Topics { words, source, lesson }),
    }
}

/// Learnt from feedback.
pub fn told_rules(seed: u64) -> Toy {
    rules(seed, Source::Feedback, Lesson::Whole)
}

/// Learnt from runs that went well.
pub fn rules_in_runs(seed: u64) -> Toy {
    rules(seed, Source::Runs, Lesson::Whole)
}

/// Learnt from labels.
pub fn labelled_rules(seed: u64) -> Toy {
    rules(seed, Source::Labels, Lesson::Whole)
}

fn metric(
    words: Vec<usize>,
    source: Source,
    lesson: Lesson,
) -> impl Fn(&Example, &Prediction) -> Score + Send + Sync + 'static {
    move |example, prediction| {
        let text = example.fields.str("text").unwrap_or_default();
        let Some(topic) = TOPICS.iter().position(|t| text.ends_with(t)) else {
            return Score::from(0.0);
        };
        let score = Score::from(prediction[ANSWER] == WORDS[words[topic]]);
        let spoken_of = match (source, lesson) {
            (Source::Feedback, Lesson::Whole) => topic,
            (Source::Feedback, Lesson::Shuffled) => {
                // Any topic but its own.
                (topic + 1 + hash(text) as usize % (TOPICS.len() - 1)) % TOPICS.len()
            }
            _ => return score,
        };
        score.with_feedback(format!("The right answer: must_{}", WORDS[words[spoken_of]]))
    }
}
