//! The part of a program that a wrapper runs, perhaps again in another way.

use std::sync::Arc;

use serde_json::Value;
use teleprompt_core::{
    Context, LmSettings, Module, Parameters, PathSlot, Predictors, ProgramState, Record, Signature,
    Visit, find,
};

use crate::data::Rng;

/// A module and where it stands in the whole program.
#[derive(Clone)]
pub(super) struct Part<M> {
    pub module: M,
    place: PathSlot,
}

/// A predictor with all that is in force for it.
pub(super) struct InForce {
    pub path: Arc<str>,
    pub signature: Signature,
    pub settings: LmSettings,
}

impl<M: Module> Part<M> {
    pub fn new(module: M) -> Self {
        Self { module, place: PathSlot::default() }
    }

    /// Where it stands.
    pub fn place(&self) -> String {
        self.place.get().to_string()
    }

    /// The predictors inside as they would be called under this context.
    pub fn in_force(&self, cx: &Context) -> Vec<InForce> {
        let found = find(&self.place.get(), &self.module);
        let one = |(path, predictor): &(Arc<str>, &dyn teleprompt_core::Predictor)| {
            let own = found.parameters.get(path).unwrap_or(predictor.parameters());
            let laid = cx.parameters(path);
            let parameters: Parameters =
                laid.iter().rev().fold((**own).clone(), |below, above| above.or(&below));
            InForce {
                path: path.clone(),
                signature: parameters.apply(predictor.signature()),
                settings: parameters.settings.or(cx.settings()),
            }
        };
        found.predictors.iter().map(one).collect()
    }

    /// The context for attempt `i`: the first, 0, is the module as written; each later one samples at
    /// temperature 1 with a rollout of its own, also where predictors have settings of their own.
    pub fn attempt(&self, cx: &Context, i: u32) -> Context {
        if i == 0 {
            return cx.clone();
        }
        // Part of the rollout is where the part stands: attempts in attempts are different calls,
        // too. It is kept short, as LMs get seeds made from it and not all take 64 bits.
        let here = Rng::new(cx.rollout()).derive(&self.place.get()).next_u64() >> 44;
        let rollout = (here << 8) + u64::from(i);
        let mut overlay = ProgramState::default();
        for predictor in self.in_force(cx) {
            let settings = sampling(&predictor.settings, rollout);
            if settings != LmSettings::default() {
                overlay.insert(predictor.path, Parameters { settings, ..Parameters::default() });
            }
        }
        let warm = LmSettings { temperature: Some(1.0), ..LmSettings::default() };
        cx.with_settings(&warm).with_rollout(rollout).with_overlay(overlay)
    }
}

/// What must be laid over settings that would keep attempts alike.
fn sampling(settings: &LmSettings, rollout: u64) -> LmSettings {
    LmSettings {
        temperature: settings.temperature.filter(|t| *t != 1.0).map(|_| 1.0),
        seed: settings.seed.map(|seed| seed.wrapping_add(rollout)),
        ..LmSettings::default()
    }
}

/// Texts to be added to the instructions of predictors, as parameters.
pub(super) fn added(in_force: &[InForce], notes: &[(Arc<str>, String)]) -> ProgramState {
    let mut state = ProgramState::default();
    for (path, note) in notes {
        let Some(predictor) = in_force.iter().find(|p| p.path == *path) else { continue };
        let before = predictor.signature.instructions().trim();
        let gap = if before.is_empty() { "" } else { "\n\n" };
        let instructions = Some(Arc::from(format!("{before}{gap}{note}")));
        state.insert(path.clone(), Parameters { instructions, ..Parameters::default() });
    }
    state
}

impl<M: Predictors> Predictors for Part<M> {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        visit.place(&self.place);
        self.module.visit(visit);
    }
}

/// Values longer than this many characters are cut where an LM reads a run.
const MOST_SHOWN: usize = 600;

/// A record as lines `name: value` for an LM to read.
pub(super) fn shown(record: &Record) -> String {
    let line = |(name, value): (&Arc<str>, &Value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match text.char_indices().nth(MOST_SHOWN) {
            Some((end, _)) => format!("{name}: {}…", text.get(..end).unwrap_or_default()),
            None => format!("{name}: {text}"),
        }
    };
    record.iter().map(line).collect::<Vec<_>>().join("\n")
}
