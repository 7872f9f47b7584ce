//! A made-up task: what an answer is depends on the kind of the input by rules such as
//! `label:alpha:zephyr`, which only the metric's feedback names. There are 8⁶ sets of rules for a
//! predictor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use teleprompt::adapter::ChatAdapter;
use teleprompt::data::{Dataset, Rng};
use teleprompt::optimize::{Compiler, Optimizer, Report};
use teleprompt::prelude::*;
use teleprompt::{LmError, LmErrorKind, LmRequest, LmResponse, Role, Usage};

pub const KINDS: [&str; 6] = ["alpha", "beta", "gamma", "delta", "kappa", "sigma"];
const WORDS: [&str; 8] =
    ["zephyr", "quartz", "violet", "marble", "falcon", "cobalt", "ginger", "walnut"];

/// The rule that makes this output right for this kind.
pub fn rule(output: &str, kind: &str) -> String {
    format!("{output}:{kind}:{}", WORDS[number(output, kind)])
}

/// A rule of the same form that is wrong.
pub fn wrong_rule(output: &str, kind: &str) -> String {
    format!("{output}:{kind}:{}", WORDS[(number(output, kind) + 3) % WORDS.len()])
}

fn number(output: &str, kind: &str) -> usize {
    Rng::new(11).derive(&format!("{output} {kind}")).below(WORDS.len())
}

/// All texts of the form of a rule, each once, in order.
pub fn rules_in(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in text.split(|c: char| !(c.is_alphanumeric() || c == ':' || c == '_')) {
        if word.split(':').filter(|part| !part.is_empty()).count() == 3
            && !found.iter().any(|f| f == word)
        {
            found.push(word.to_owned());
        }
    }
    found
}

fn kind_of(text: &str) -> &'static str {
    KINDS.iter().find(|kind| text.contains(**kind)).unwrap()
}

/// How the LM that writes behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Keeps the rules it has and adds those it is told.
    Collects,
    /// Keeps only those that it is told now.
    Forgets,
    /// Writes another useless text each time.
    Babbles,
}

/// Answers by the rules in its instructions; writes instructions from what it is shown.
#[derive(Clone)]
pub struct World {
    pub paid: Arc<AtomicU64>,
    /// Questions to write something.
    pub written: Arc<AtomicU64>,
    pub writer: Writer,
    /// From this call on, all fail for good.
    pub dies_at: u64,
    /// One of so many calls fails, others of the same candidate do not.
    pub fails_one_in: Option<u64>,
    /// Prompts of more characters than this are refused.
    pub room: usize,
    /// All replies are gibberish.
    pub garbles: bool,
    /// The temperature of the last question.
    pub temperature: Arc<std::sync::Mutex<Option<f32>>>,
}

impl World {
    pub fn new(writer: Writer) -> Self {
        Self {
            paid: Arc::default(),
            written: Arc::default(),
            writer,
            dies_at: u64::MAX,
            fails_one_in: None,
            room: usize::MAX,
            garbles: false,
            temperature: Arc::default(),
        }
    }

    pub fn context(&self) -> Context {
        Context::new(LmHandle::new(self.clone()), Arc::new(ChatAdapter))
    }

    pub fn calls(&self) -> u64 {
        self.paid.load(Ordering::SeqCst)
    }

    pub fn questions(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    fn write(&self, output: &str, request: &LmRequest, user: &str) -> String {
        self.written.fetch_add(1, Ordering::SeqCst);
        *self.temperature.lock().unwrap() = request.settings.temperature;
        let seen = match self.writer {
            Writer::Babbles => {
                let number = request.rollout;
                return format!("Do your best, attempt {number}.");
            }
            Writer::Forgets if output == "new_instructions" => {
                let (_, shown) = user.split_once("[[ ## examples ## ]]").unwrap_or(("", user));
                shown
            }
            _ => user,
        };
        let rules = rules_in(seen);
        // Instructions of one output need only its rules; which one it is, the step says.
        let named = ["first", "second"].iter().find(|o| step_of(user).contains(&format!("-> {o}")));
        let fitting = rules.iter().filter(|r| named.is_none_or(|o| r.starts_with(o)));
        let rules: Vec<&str> = fitting.map(String::as_str).collect();
        format!("Answer by these rules: {}", rules.join(" "))
    }

    /// Right by rule, or by a demonstration of the same kind; without one, at a high temperature,
    /// right one time in three.
    fn solve(request: &LmRequest, output: &str, system: &str, user: &str) -> String {
        let kind = kind_of(user);
        let (_, demos) = request.messages.split_last().unwrap();
        let shown = demos.iter().any(|m| m.role == Role::Assistant && m.content.contains(kind));
        let knows = shown || system.contains(&rule(output, kind));
        let hot = request.settings.temperature.is_some_and(|t| t > 0.5);
        let dice = Rng::new(request.rollout).derive(user).derive(output).below(3);
        if knows || (hot && dice == 0) { kind.to_owned() } else { "none".to_owned() }
    }
}

/// The section that says which step is meant.
fn step_of(user: &str) -> &str {
    let Some((_, rest)) = user.split_once("[[ ## step ## ]]") else { return "" };
    rest.split("[[ ##").next().unwrap_or("")
}

impl Lm for World {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let call = self.paid.fetch_add(1, Ordering::SeqCst) + 1;
        if call >= self.dies_at {
            return Err(LmError::new(LmErrorKind::Auth, "world", "the key was taken away"));
        }
        let system = request.messages[0].content.to_string();
        let user = request.messages.last().unwrap().content.to_string();
        if user.len() > self.room {
            return Err(LmError::new(
                LmErrorKind::InvalidRequest,
                "world",
                "the prompt is too long",
            ));
        }
        if user.len() > self.room {
            return Err(LmError::new(
                LmErrorKind::InvalidRequest,
                "world",
                "the prompt is too long",
            ));
        }
        let dice = Rng::new(request.rollout).derive(&system).derive(&user);
        if self.fails_one_in.is_some_and(|n| dice.derive("fails").below(n as usize) == 0) {
            return Err(LmError::new(LmErrorKind::Server, "world", "overloaded"));
        }
        if self.garbles {
            return Ok(LmResponse::text(""));
        }
        let wants = |output: &str| system.contains(&format!("[[ ## {output} ## ]]"));
        let outputs = ["label", "first", "second"];
        let text = match outputs.iter().find(|o| wants(o)) {
            Some(output) => {
                format!("[[ ## {output} ## ]]\n{}", Self::solve(request, output, &system, &user))
            }
            None if wants("rule") && wants("for_step") => {
                let text = self.write("rule", request, &user);
                let step = if text.contains("first:") { "first" } else { "second" };
                format!("[[ ## for_step ## ]]\n{step}\n\n[[ ## rule ## ]]\n{text}")
            }
            None => {
                let all = ["new_instructions", "shorter_text", "findings", "rule"];
                let output =
                    all.into_iter().find(|o| wants(o)).unwrap_or_else(|| panic!("{system}"));
                format!("[[ ## {output} ## ]]\n{}", self.write(output, request, &user))
            }
        };
        let mut response = LmResponse::text(text);
        let prompt_tokens = (system.len() + user.len()) as u64;
        response.usage =
            Usage { calls: 1, prompt_tokens, completion_tokens: 2, ..Usage::default() };
        Ok(response)
    }
    fn name(&self) -> &str {
        "world"
    }
}

pub fn data(name: &str, n: usize) -> Dataset {
    let example = |i: usize| {
        let kind = KINDS[i % KINDS.len()];
        let text = format!("{kind} of {name}, number {}", i * 7919);
        Example::new(record! { text: text, label: kind }, ["text"])
    };
    Dataset::new(name, (0..n).map(example).collect::<Vec<_>>())
}

pub fn program() -> Predict {
    Predict::of("text -> label").unwrap()
}

/// Two steps that each need rules of their own.
#[derive(Module, Clone)]
pub struct Pair {
    first: Predict,
    second: Predict,
}

pub fn pair() -> Pair {
    let step = |output: &str| Predict::of(format!("text -> {output}").as_str()).unwrap();
    Pair { first: step("first"), second: step("second") }
}

impl Module for Pair {
    type Input = Record;
    type Output = Record;
    async fn forward(&self, cx: &Context, input: Record) -> Result<Prediction> {
        let second = self.second.call(cx, input.clone()).await?;
        let first = self.first.call(cx, input).await?;
        let both = record! { first: first["first"].clone(), second: second["second"].clone() };
        Ok(Prediction::new(both))
    }
}

/// What the metric says of a wrong answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    Truth,
    Nothing,
    /// Something of the same form that is wrong.
    Shuffled,
}

pub fn metric(says: Says) -> impl Metric {
    move |example: &Example, prediction: &Prediction| {
        let kind = example["label"].as_str().unwrap();
        let score = Score::from(prediction["label"] == kind);
        match says {
            _ if score.value > 0.0 => score,
            Says::Nothing => score,
            Says::Truth => score.with_feedback(format!("The rule is {}.", rule("label", kind))),
            Says::Shuffled => {
                score.with_feedback(format!("The rule is {}.", wrong_rule("label", kind)))
            }
        }
    }
}

/// Half a point for each of two outputs; feedback on each step by its path.
pub fn pair_metric(example: &Example, prediction: &Prediction) -> Score {
    let kind = example["label"].as_str().unwrap();
    let right = |output: &str| f64::from(u8::from(prediction[output] == kind));
    let mut score = Score::from((right("first") + right("second")) / 2.0);
    for output in ["first", "second"] {
        if right(output) == 0.0 {
            score = score.with_feedback_on(output, format!("The rule is {}.", rule(output, kind)));
        }
    }
    score
}

/// A compiler with examples of its own for each split.
pub fn compiler<O: Optimizer>(
    recipe: O,
    metric: impl Metric,
    dir: &tempfile::TempDir,
) -> Compiler<O> {
    let compiler = recipe.compiler(metric).val(&data("val", 18)).test(&data("test", 24));
    compiler.studies_in(dir.path()).study("trial").concurrency(3)
}

/// The report of a compile of [`program`] over 24 train examples.
pub async fn compiled<O: Optimizer>(recipe: O, says: Says, world: &World) -> Report {
    compiled_with(recipe, says, world, 24, 0).await
}

pub async fn compiled_with<O: Optimizer>(
    recipe: O,
    says: Says,
    world: &World,
    train: usize,
    seed: u64,
) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let compiler = compiler(recipe, metric(says), &dir).seed(seed);
    compiler.compile(&world.context(), &program(), &data("train", train)).await.unwrap().report
}
