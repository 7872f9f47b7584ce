//! A scripted LM that does a step as well as it is told to, and writes instructions that can be told
//! apart by their quality.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use teleprompt::adapter::ChatAdapter;
use teleprompt::data::Dataset;
use teleprompt::optimize::{Report, Sizes};
use teleprompt::prelude::*;
use teleprompt::{LmError, LmErrorKind, LmHandle, LmRequest, LmResponse, Role, Usage};

/// What a [`Pupil`] was asked, counted.
#[derive(Default)]
pub struct Counts {
    /// All calls, those that failed included.
    pub calls: AtomicU64,
    /// Those that asked it to write.
    pub written: AtomicU64,
    /// Those that failed.
    pub failed: AtomicU64,
}

impl Counts {
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::SeqCst)
    }
}

/// Answers a step rightly on so many tenths of all inputs as its skill is: 2, and what the
/// instructions say (`[q5]`), and 4 with two demonstrations or more; wrongly on the others.
///
/// As a writer it gives instructions of quality 0 to 2; up to 5 if it is shown what it observed in the
/// data; and what is shown with the best score, or one better, if it is shown attempts. It finds the
/// rule of the examples if it sees them.
#[derive(Clone)]
pub struct Pupil {
    pub counts: Arc<Counts>,
    /// The call with this number fails for good.
    pub dies_at: u64,
    /// One in so many calls to write fails; 0: none.
    pub writer_fails: u64,
    /// Never writes in the form that is asked for.
    pub mumbles: bool,
    /// Characters of a prompt that it can take.
    pub window: usize,
}

impl Default for Pupil {
    fn default() -> Self {
        let counts = Arc::default();
        Self { counts, dies_at: u64::MAX, writer_fails: 0, mumbles: false, window: usize::MAX }
    }
}

pub fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

fn qualities(text: &str) -> Vec<u64> {
    let mut found = text.split("[q").skip(1);
    let quality = |rest: &str| rest.split(']').next().and_then(|n| n.parse().ok());
    std::iter::from_fn(|| found.next().map(quality)).flatten().collect()
}

impl Pupil {
    pub fn context(&self) -> Context {
        Context::new(LmHandle::new(self.clone()), Arc::new(ChatAdapter))
    }

    fn write(&self, output: &str, user: &str, rollout: u64) -> String {
        let chance = hash((user, rollout));
        match output {
            "observations" => "[seen] labels go by a word".into(),
            "new_observations" => "Nothing new.".into(),
            "instructions" if user.contains("[[ ## tried ## ]]") => {
                let best = qualities(user).pop().unwrap_or(0);
                format!("[q{}] variant {chance}", best + chance % 2)
            }
            "instructions" => {
                let most = if user.contains("[seen]") { 6 } else { 3 };
                format!("Proposed instructions: \"[q{}] variant {chance}\"", chance % most)
            }
            "rules" if user.contains("beta") => {
                format!("1. [q4] beta is b\n2. case {}", chance % 9)
            }
            _ => format!("something about {output}"),
        }
    }

    fn answer(system: &str, user: &str, demos: usize) -> &'static str {
        let told: u64 = qualities(system).iter().sum();
        let skill = 2 + told + if demos >= 2 { 4 } else { 0 };
        let right = hash(user) % 10 < skill;
        if right == user.contains("beta") { "b" } else { "a" }
    }
}

impl Lm for Pupil {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let call = self.counts.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let fail = |kind, why: &str| {
            self.counts.failed.fetch_add(1, Ordering::SeqCst);
            Err(LmError::new(kind, "pupil", why))
        };
        if call >= self.dies_at {
            return fail(LmErrorKind::Auth, "the key was taken away");
        }
        let text =
            |i: usize| request.messages.get(i).map(|m| m.content.to_string()).unwrap_or_default();
        let size: usize = request.messages.iter().map(|m| m.content.to_string().len()).sum();
        if size > self.window {
            let (needed, limit) = (size as u64, self.window as u64);
            return fail(LmErrorKind::ContextOverflow { needed, limit }, "too long");
        }
        let system = text(0);
        let user = text(request.messages.len() - 1);
        let output = system.rsplit("[[ ## ").next().and_then(|t| t.split(' ').next()).unwrap_or("");
        let demos = request.messages.iter().filter(|m| m.role == Role::Assistant).count();
        let reply = if output == "label" || output == "echo" {
            let value = if output == "echo" {
                user.clone()
            } else {
                Self::answer(&system, &user, demos).into()
            };
            let value = value.replace("[[ ## text ## ]]\n", "");
            format!("[[ ## {output} ## ]]\n{value}")
        } else {
            self.counts.written.fetch_add(1, Ordering::SeqCst);
            if self.writer_fails > 0 && hash((&user, request.rollout)) % self.writer_fails == 0 {
                return fail(LmErrorKind::Server, "busy");
            }
            match self.mumbles {
                true => "[[ ## something ## ]]\nelse".to_owned(),
                false => {
                    format!("[[ ## {output} ## ]]\n{}", self.write(output, &user, request.rollout))
                }
            }
        };
        let mut response = LmResponse::text(reply);
        response.usage = Usage {
            calls: 1,
            prompt_tokens: size as u64,
            completion_tokens: 9,
            ..Usage::default()
        };
        Ok(response)
    }
    fn name(&self) -> &str {
        "pupil"
    }
}

pub fn data(n: usize) -> Dataset {
    let example = |i: usize| {
        let (kind, label) = if i % 2 == 1 { ("beta", "b") } else { ("alpha", "a") };
        let text = format!("letter {kind} number {i} {}", i * 7919);
        Example::new(record! { text: text, label: label }, ["text"])
    };
    Dataset::new("made up", (0..n).map(example).collect::<Vec<_>>())
}

pub fn program() -> Predict {
    Predict::of(r#"text -> label: enum["a", "b"]"#).unwrap()
}

/// Repeats the text, then labels the repetition.
#[derive(Clone, Module)]
pub struct TwoSteps {
    repeat: Predict,
    judge: Predict,
}

pub fn two_steps() -> TwoSteps {
    let repeat = Predict::of("text -> echo").unwrap();
    TwoSteps { repeat, judge: Predict::of(r#"echo -> label: enum["a", "b"]"#).unwrap() }
}

impl Module for TwoSteps {
    type Input = Record;
    type Output = Record;
    async fn forward(&self, cx: &Context, input: Record) -> Result<Prediction> {
        let repeated = self.repeat.call(cx, input).await?;
        let echo = repeated["echo"].clone();
        self.judge.call(cx, record! { echo: echo }).await
    }
}

pub fn exact(example: &Example, prediction: &Prediction) -> bool {
    example["label"] == prediction["label"]
}

/// The events of the study in this folder.
pub fn events(dir: &tempfile::TempDir) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.path().join("trial/journal.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn sizes(report: &Report, predictors: usize, n: usize, validates: bool) -> Sizes {
    let left = n - report.baseline.n;
    let val = if validates { left / 3 } else { 0 };
    Sizes { train: left - val, val, predictors }
}

/// Calls of programs in the search.
pub fn runs(report: &Report) -> u64 {
    report.spent.evaluation.calls + report.spent.teacher.calls
}
