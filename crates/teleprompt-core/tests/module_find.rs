//! Finding the predictors of a part of a program while it runs.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use teleprompt_core::{
    Parameters, PathSlot, Predictor, Predictors, ProgramState, Signature, Visit, bind, find,
};

struct Step {
    signature: Signature,
    parameters: Arc<Parameters>,
    slot: PathSlot,
}

impl Step {
    fn new() -> Self {
        let signature = "question -> answer".parse().unwrap();
        Self { signature, parameters: Arc::default(), slot: PathSlot::default() }
    }
}

impl Predictor for Step {
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn parameters(&self) -> &Arc<Parameters> {
        &self.parameters
    }
    fn slot(&self) -> &PathSlot {
        &self.slot
    }
}

impl Predictors for Step {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        visit.predictor(self);
    }
}

/// A part that knows its place, with parameters laid over what is in it.
struct Part {
    steps: Vec<Arc<Step>>,
    state: Arc<ProgramState>,
    place: PathSlot,
}

impl Part {
    fn new(steps: Vec<Arc<Step>>) -> Self {
        let mut state = ProgramState::default();
        let instructions = Some(Arc::from("laid"));
        state.insert("[0]", Parameters { instructions, ..Parameters::default() });
        Self { steps, state: Arc::new(state), place: PathSlot::default() }
    }
}

impl Predictors for Part {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        visit.place(&self.place);
        visit.layer(&self.state, &self.steps);
    }
}

struct Program {
    shared: Arc<Step>,
    parts: Vec<Arc<Part>>,
}

impl Predictors for Program {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        visit.field("shared", &self.shared);
        visit.field("parts", &self.parts);
    }
}

fn paths(found: &teleprompt_core::Bound<'_>) -> Vec<String> {
    found.predictors.iter().map(|(path, _)| path.to_string()).collect()
}

#[test]
fn the_predictors_of_a_part_are_found_under_the_paths_of_the_whole() {
    let shared = Arc::new(Step::new());
    let part = Arc::new(Part::new(vec![Arc::new(Step::new()), shared.clone()]));
    let program = Program { shared: shared.clone(), parts: vec![part.clone(), part.clone()] };
    let all = paths(&bind(&program));
    assert_eq!(all, ["shared", "parts[0][0]"]);
    assert_eq!(&*part.place.get(), "parts[0]", "met again, it keeps its first place");

    let found = find(&part.place.get(), &*part);
    assert_eq!(paths(&found), ["parts[0][0]", "shared"]);
    let instructions = |path| found.parameters.get(path).unwrap().instructions.as_deref();
    assert_eq!(instructions("parts[0][0]"), Some("laid"), "what the part brings along");
    assert_eq!(instructions("shared"), None);
    assert_eq!(paths(&bind(&program)), all, "nothing was changed");
    assert_eq!(&*shared.slot.get(), "shared");
}
