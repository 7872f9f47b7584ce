//! What a compile is about.

use serde_json::{Map, Value, json};
use teleprompt_core::{Context, Lm, Metric, Program};

use super::Compiler;
use crate::data::Dataset;
use crate::module::program_identity;
use crate::optimize::Optimizer;
use crate::optimize::splits::Splits;
use crate::optimize::study::{FORMAT, Identity, Source};
use crate::optimize::task::{embedder, named_by_program};

impl<O: Optimizer> Compiler<O> {
    /// Of the contexts of student, teacher and the LM that writes.
    pub(super) fn identity(
        &self,
        cxs: [&Context; 3],
        program: &Program,
        splits: &Splits,
    ) -> Identity {
        let source = |data: &Dataset| Source { n: data.len(), hash: data.hash() };
        let settings = self.optimizer.settings();
        Identity {
            format: FORMAT,
            program: program_identity(program),
            teacher: self.teacher.as_ref().map_or(Value::Null, program_identity),
            train: source(&splits.train),
            val: source(&splits.val),
            test: source(&splits.test),
            metric: self.metric.fingerprint(),
            lm: self.lm_identity(cxs, program, &settings),
            optimizer: json!({
                "name": self.optimizer.name(), "settings": settings,
                "objective": self.objective, "runner": self.runner.identity(),
            }),
            seed: self.seed,
        }
    }

    fn lm_identity(&self, cxs: [&Context; 3], program: &Program, settings: &Value) -> Value {
        let lm = |cx: &Context| json!({"lm": cx.lm().identity(), "settings": cx.settings()});
        let [student, teacher, prompt] = cxs;
        let writer = self.optimizer.writes().then(|| lm(prompt));
        let choice: Map<String, Value> = (self.lms.iter())
            .filter_map(|name| Some((name, student.lm_named(Some(name)).ok()?)))
            .map(|(name, lm)| (name.to_string(), Value::String(lm.identity())))
            .collect();
        let mut all = json!({
            "student": lm(student), "teacher": lm(teacher), "prompt": writer, "choice": choice,
            "adapter": student.adapter().name(),
        });
        let mut named = named_by_program(student, program);
        embedders_in(settings, &mut |name| {
            named.insert(format!("embedder {name}"), embedder(student, name));
        });
        let of_teacher = named_by_program(teacher, self.teacher.as_ref().unwrap_or(program));
        for (what, named) in [("named", named), ("named by the teacher", of_teacher)] {
            // Where nothing is named, there is nothing to compare.
            if let (false, Value::Object(all)) = (named.is_empty(), &mut all) {
                all.insert(what.into(), json!(named));
            }
        }
        all
    }
}

/// The embedding models that an optimizer's settings name, in whatever depth.
fn embedders_in(settings: &Value, found: &mut impl FnMut(&str)) {
    match settings {
        Value::Object(map) => {
            if let Some(name) = map.get("embedder").and_then(Value::as_str) {
                found(name);
            }
            map.values().for_each(|value| embedders_in(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| embedders_in(value, found)),
        _ => {}
    }
}
