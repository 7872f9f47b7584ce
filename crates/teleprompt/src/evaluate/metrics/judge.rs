//! A metric that is itself a program.

use serde_json::Value;
use teleprompt_core::{
    Context, Error, Example, Field, Lm, LmHandle, Metric, Module, Prediction, Program, Record,
    Result, Score, Signature, names,
};

use crate::module::program_identity;

/// A program that judges predictions, such as an LM judge.
///
/// Its inputs are filled by name: `example_NAME` and `pred_NAME` say where `NAME` is looked up; any
/// other name is looked up in the inputs of the example, then in the prediction, then in the labels
/// of the example. Its output `score` (or the only number or bool it gives) is the score; its output
/// `feedback`, if there is one, goes with it.
///
/// It runs under the context of the evaluation without the parameters of the judged program, and
/// its calls are counted apart ([`crate::evaluate::Row::metric_usage`]) but within the same budget.
///
/// ```no_run
/// # use teleprompt::{Module, Program, Result};
/// use teleprompt::evaluate::Judge;
/// # fn judge(predict: impl Module) -> Result<Judge> {
/// // predict: "question, example_answer, pred_answer -> feedback, score: float(0..1)"
/// Judge::new(Program::new(predict))
/// # }
/// ```
#[derive(Clone)]
pub struct Judge {
    program: Program,
    interface: Signature,
    score: Field,
    lm: Option<LmHandle>,
    name: String,
}

impl Judge {
    /// A judge from a program that tells its interface, as a predictor and a pipeline do.
    ///
    /// # Errors
    /// [`Error::Config`]: the program has no interface, or no output that can be the score.
    pub fn new(program: Program) -> Result<Self> {
        let interface = program.interface().ok_or_else(|| {
            Error::Config("a judge must tell its inputs; implement `Module::interface`".into())
        })?;
        let numeric = |f: &&Field| {
            use teleprompt_core::Kind as K;
            matches!(f.ty.kind, K::Int | K::Float | K::Bool)
        };
        let named = interface.output("score");
        let mut numbers = interface.outputs().iter().filter(numeric);
        let score = match (named, numbers.next(), numbers.next()) {
            (Some(field), ..) | (None, Some(field), None) => field.clone(),
            _ => {
                return Err(Error::Config(format!(
                    "the judge `{interface}` needs an output `score` of type float, int or bool"
                )));
            }
        };
        Ok(Self { program, interface, score, lm: None, name: "judge".into() })
    }

    /// Judges with this LM. Default: the LM of the evaluation.
    #[must_use]
    pub fn lm(mut self, lm: LmHandle) -> Self {
        self.lm = Some(lm);
        self
    }

    /// Its name in reports. Default: `judge`.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    fn inputs(&self, example: &Example, prediction: &Prediction) -> Result<Record> {
        let mut inputs = Record::with_capacity(self.interface.inputs().len());
        for field in self.interface.inputs() {
            match look_up(&field.name, example, prediction) {
                Some(value) => inputs.insert(field.name.clone(), value.clone()),
                None if field.ty.is_nullable(self.interface.defs()) => {}
                None => {
                    let there = example.fields.names().chain(prediction.names());
                    return Err(Error::Config(format!(
                        "the judge wants `{}`, which neither example nor prediction has{}",
                        field.name,
                        names::suggestion(&field.name, there)
                    )));
                }
            }
        }
        Ok(inputs)
    }
}

fn look_up<'a>(name: &str, example: &'a Example, prediction: &'a Prediction) -> Option<&'a Value> {
    let apart = || {
        let label = name.strip_prefix("example_").and_then(|n| example.fields.get(n));
        label.or_else(|| name.strip_prefix("pred_").and_then(|n| prediction.get(n)))
    };
    let is_input = example.input_names.iter().any(|n| **n == *name);
    let input = example.fields.get(name).filter(|_| is_input);
    input.or_else(|| prediction.get(name)).or_else(|| example.fields.get(name)).or_else(apart)
}

impl Metric for Judge {
    async fn score(
        &self,
        cx: &Context,
        example: &Example,
        prediction: &Prediction,
    ) -> Result<Score> {
        let inputs = self.inputs(example, prediction)?;
        let mut cx = cx.detached();
        if let Some(lm) = &self.lm {
            cx = cx.with_lm(lm.clone());
        }
        let verdict = self.program.call(&cx, inputs).await?;
        let value = match verdict.get(&self.score.name).unwrap_or(&Value::Null) {
            Value::Bool(good) => f64::from(u8::from(*good)),
            Value::Number(n) => n.as_f64().unwrap_or(f64::NAN),
            other => {
                return Err(Error::Data(format!(
                    "the judge's `{}` must be a number or bool, not {other}",
                    self.score.name
                )));
            }
        };
        Ok(Score { feedback: verdict.str("feedback").map(str::to_owned), ..Score::from(value) })
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    /// With a hash of the program and of the LM that it was given.
    fn fingerprint(&self) -> String {
        let lm = self.lm.as_ref().map(|lm| lm.identity());
        let what = serde_json::json!({"program": program_identity(&self.program), "lm": lm});
        let hash = blake3::hash(what.to_string().as_bytes()).to_hex();
        format!("{} {}", self.name, hash.get(..16).unwrap_or_default())
    }
}
