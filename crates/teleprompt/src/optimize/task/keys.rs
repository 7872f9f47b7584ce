//! The keys under which a study remembers: hashes of all that a result depends on.

use std::collections::BTreeMap;
use std::sync::Arc;

use teleprompt_core::{
    Context, Embedder, Example, Likeness, Lm, Metric, MetricHandle, Parameters, Program,
    ProgramState, Record, bind,
};

use super::{Call, Task};
use crate::module::program_identity;
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
            part(&mut hasher, metric.fingerprint().as_bytes());
            part(&mut hasher, runner.as_bytes());
            part_named(&mut hasher, &named_by_program(cx, program));
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
        let (mut hasher, cx) = match call.by {
            By::Student => (self.keys.student.clone(), &self.cx),
            By::Teacher => (self.keys.teacher.clone(), &self.teacher_cx),
        };
        part(&mut hasher, call.candidate.hash.as_bytes());
        let members = call.candidate.solution().members();
        part_named(&mut hasher, &named(cx, members.iter().flat_map(|state| state.0.values())));
        part(&mut hasher, call.split.to_string().as_bytes());
        part(&mut hasher, &[u8::from(self.holds_out(call.split))]);
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

    /// Whether a teacher was given, be it a program or a context: one whose runs are not the student's.
    pub(in crate::optimize) fn has_teacher(&self) -> bool {
        self.teacher.is_some() || self.keys.teacher.finalize() != self.keys.student.finalize()
    }

    /// Of the metric's score of these outputs.
    pub(in crate::optimize) fn judge_key(&self, example: &Example, outputs: &Record) -> String {
        let mut hasher = self.keys.student.clone();
        part(&mut hasher, b"judged");
        part(&mut hasher, &serde_json::to_vec(example).unwrap_or_default());
        part(&mut hasher, &serde_json::to_vec(outputs).unwrap_or_default());
        finish(&hasher)
    }

    /// Of a calibration over this example.
    pub(in crate::optimize) fn calibration_key(
        &self,
        state: &ProgramState,
        example: &Example,
    ) -> String {
        let mut hasher = self.keys.student.clone();
        part(&mut hasher, b"calibration of one");
        part(&mut hasher, state.hash().as_bytes());
        part_named(&mut hasher, &named(&self.cx, state.0.values()));
        part(&mut hasher, &serde_json::to_vec(example).unwrap_or_default());
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

/// What is known by name alone: the LMs and embedding models that these parameters name, each with
/// what tells it from another one.
pub(in crate::optimize) fn named<'p>(
    cx: &Context,
    parameters: impl IntoIterator<Item = &'p Arc<Parameters>>,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for parameters in parameters {
        if let Some(name) = &parameters.lm {
            let identity = cx.lm_named(Some(name)).map(|lm| lm.identity());
            found.insert(name.to_string(), identity.unwrap_or_else(|_| ABSENT.into()));
        }
        if let Some(Likeness::Embedder(name)) = parameters.nearest.as_ref().map(|n| &n.by) {
            found.insert(format!("embedder {name}"), embedder(cx, name));
        }
    }
    found
}

/// Of what a name stands for that the context does not have.
const ABSENT: &str = "not connected";

/// What tells the embedding model of this name from another one.
pub(in crate::optimize) fn embedder(cx: &Context, name: &str) -> String {
    cx.embedder(name).map_or_else(|_| ABSENT.into(), |embedder| embedder.identity())
}

/// What a program's parameters name.
pub(in crate::optimize) fn named_by_program(
    cx: &Context,
    program: &Program,
) -> BTreeMap<String, String> {
    let bound = bind(program);
    let parameters = bound
        .predictors
        .iter()
        .map(|(path, p)| bound.parameters.get(path).unwrap_or(p.parameters()));
    named(cx, parameters)
}

/// Nothing named leaves the key as it is.
fn part_named(hasher: &mut blake3::Hasher, named: &BTreeMap<String, String>) {
    if !named.is_empty() {
        part(hasher, &serde_json::to_vec(named).unwrap_or_default());
    }
}
