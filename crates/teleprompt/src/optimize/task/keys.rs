//! The keys under which a study remembers: hashes of all that a result depends on.

use serde_json::{Value, json};
use teleprompt_core::{
    Context, Example, Lm, Metric, MetricHandle, Module, Program, ProgramState, bind,
};

use super::{Call, Task};
use crate::optimize::Candidate;
use crate::optimize::study::{By, Run, Split};

/// What is constant in a search, hashed once.
#[derive(Clone)]
pub(in crate::optimize) struct Keys {
    student: blake3::Hasher,
    teacher: blake3::Hasher,
    prompt: blake3::Hasher,
}

impl Keys {
    pub fn new(
        cxs: [&Context; 3],
        program: &Program,
        teacher: &Program,
        metric: &MetricHandle,
        runner: &str,
    ) -> Self {
        let [student, of_teacher, prompt] = cxs;
        let run = |cx: &Context, program: &Program| {
            let mut hasher = base(cx);
            part(&mut hasher, program_identity(program).to_string().as_bytes());
            part(&mut hasher, metric.name().as_bytes());
            part(&mut hasher, runner.as_bytes());
            hasher
        };
        Self {
            student: run(student, program),
            teacher: run(of_teacher, teacher),
            prompt: base(prompt),
        }
    }
}

impl Task<'_> {
    /// What the study knows of a candidate's runs on the examples of a split, in their order.
    pub(in crate::optimize) fn known(
        &self,
        candidate: &Candidate,
        split: Split,
    ) -> Vec<Option<Run>> {
        let run = |(place, example)| {
            self.study.run(&self.run_key(&Call::new(candidate, split, place), example))
        };
        self.examples(split).iter().enumerate().map(run).collect()
    }

    /// Of a run.
    pub(super) fn run_key(&self, call: &Call<'_>, example: &Example) -> String {
        let keys = &self.keys;
        let mut hasher = match call.by {
            By::Student => keys.student.clone(),
            By::Teacher => keys.teacher.clone(),
        };
        part(&mut hasher, call.candidate.hash.as_bytes());
        part(&mut hasher, call.split.to_string().as_bytes());
        part(&mut hasher, &call.rollout.to_le_bytes());
        part(&mut hasher, &serde_json::to_vec(&call.temperature).unwrap_or_default());
        part(&mut hasher, &serde_json::to_vec(example).unwrap_or_default());
        finish(&hasher)
    }

    /// Of an answer of the LM that writes instructions.
    pub(super) fn ask_key(&self, question: &super::Question<'_>) -> String {
        let mut hasher = self.keys.prompt.clone();
        part(&mut hasher, program_identity(question.program).to_string().as_bytes());
        part(&mut hasher, &serde_json::to_vec(&question.inputs).unwrap_or_default());
        part(&mut hasher, &question.rollout.to_le_bytes());
        part(&mut hasher, &serde_json::to_vec(&question.temperature).unwrap_or_default());
        finish(&hasher)
    }

    /// Of a calibration over these examples.
    pub(in crate::optimize) fn calibration_key(
        &self,
        state: &ProgramState,
        examples: &[&Example],
    ) -> String {
        let mut hasher = self.keys.student.clone();
        part(&mut hasher, b"calibration");
        part(&mut hasher, state.hash().as_bytes());
        for example in examples {
            part(&mut hasher, &serde_json::to_vec(&example.inputs()).unwrap_or_default());
        }
        finish(&hasher)
    }
}

fn part(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

fn finish(hasher: &blake3::Hasher) -> String {
    hasher.finalize().to_hex().get(..32).unwrap_or_default().to_owned()
}

fn base(cx: &Context) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    part(&mut hasher, cx.lm().identity().as_bytes());
    part(&mut hasher, cx.adapter().name().as_bytes());
    part(&mut hasher, &serde_json::to_vec(cx.settings()).unwrap_or_default());
    part(&mut hasher, &cx.seed().to_le_bytes());
    hasher
}

/// What a program is, for studies: predictors with signatures and parameters, and the wiring.
pub(in crate::optimize) fn program_identity(program: &Program) -> Value {
    let bound = bind(program);
    let predictors: serde_json::Map<String, Value> = bound
        .predictors
        .iter()
        .map(|(path, p)| {
            let parameters = bound.parameters.get(path).unwrap_or(p.parameters());
            let what = json!({"signature": p.signature(), "parameters": **parameters});
            (path.to_string(), what)
        })
        .collect();
    json!({"predictors": predictors, "wiring": program.fingerprint()})
}
