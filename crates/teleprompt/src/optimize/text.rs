//! Any text, made better by what a user's own evaluator says of it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use teleprompt_core::{
    Context, Error, EvidenceByField, Example, Metric, MetricHandle, Module, Parameters, PathSlot,
    Prediction, Predictor, Predictors, Program, Record, Result, Score, Signature, TraceStep, Visit,
};

use super::teleprompter::Gepa;
use super::{Compiler, Optimizer, OptimizerHandle, Report};
use crate::data::Dataset;
use crate::evaluate::metrics::named;

/// Named texts. Cloning is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(Arc<BTreeMap<Arc<str>, Arc<str>>>);

impl Texts {
    /// The text of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|text| &**text)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (&**name, &**text))
    }
}

/// The text of a name; empty if there is none.
impl std::ops::Index<&str> for Texts {
    type Output = str;
    fn index(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }
}

/// Says how good texts are.
///
/// Any `Fn(&Texts, &Example) -> bool` (or `f64`, or [`Score`]) is one; [`waiting`] makes one of an
/// async closure. Implement it where it calls LMs itself: it gets the context, and its calls are
/// counted.
pub trait Evaluator: Send + Sync + 'static {
    /// How good the texts are for this example; higher is better. Notes go into the score's
    /// feedback, or into its feedback on single texts, by their names: they are what the texts are
    /// improved by.
    ///
    /// # Errors
    /// The texts could not be evaluated. They score 0 on this example, and the error is told to the
    /// LM that improves them.
    fn evaluate(
        &self,
        cx: &Context,
        texts: &Texts,
        example: &Example,
    ) -> impl Future<Output = Result<Score>> + Send;
}

impl<F, S> Evaluator for F
where
    F: Fn(&Texts, &Example) -> S + Send + Sync + 'static,
    S: Into<Score>,
{
    async fn evaluate(&self, _: &Context, texts: &Texts, example: &Example) -> Result<Score> {
        Ok(self(texts, example).into())
    }
}

/// An evaluator that waits. See [`waiting`].
#[derive(Clone, Copy, Debug)]
pub struct Waiting<F>(F);

/// An evaluator of an async closure.
///
/// ```
/// use teleprompt::optimize::text::{TextOptimizer, waiting};
/// use teleprompt::{Result, Score};
///
/// let evaluator = waiting(|texts, _| async move {
///     let words = texts["slogan"].split_whitespace().count();
///     Ok(Score::from(words <= 5).with_feedback(format!("{words} words; five are the most")))
/// });
/// let optimizer = TextOptimizer::new([("slogan", "We sell bread to people who like bread")], evaluator);
/// ```
pub fn waiting<F, R>(evaluate: F) -> Waiting<F>
where
    F: Fn(Texts, Example) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Score>> + Send,
{
    Waiting(evaluate)
}

impl<F, R> Evaluator for Waiting<F>
where
    F: Fn(Texts, Example) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Score>> + Send,
{
    async fn evaluate(&self, _: &Context, texts: &Texts, example: &Example) -> Result<Score> {
        (self.0)(texts.clone(), example.clone()).await
    }
}

/// Improves texts of any kind: a prompt of another system, a configuration, a query, a piece of code.
///
/// The texts are the instructions of predictors that call no LM; so any recipe that writes
/// instructions can improve them, by default [`Gepa`], and studies, budgets, stop conditions and
/// reports are those of any compile.
///
/// ```
/// use teleprompt::optimize::text::{TextOptimizer, Texts};
/// use teleprompt::prelude::*;
///
/// # async fn run(cx: Context) -> Result<()> {
/// let found = TextOptimizer::new([("slogan", "We sell bread")], |texts: &Texts, _: &Example| {
///     let rhymes = texts["slogan"].ends_with("fed");
///     Score::from(rhymes).with_feedback("It must rhyme with bread.")
/// })
/// .purpose("A slogan for a bakery.")
/// .with(|compiler| compiler.seed(3).study("slogan"))
/// .optimize(&cx)
/// .await?;
/// println!("{}\n{}", &found.texts["slogan"], found.report);
/// # Ok(())
/// # }
/// ```
pub struct TextOptimizer {
    texts: Vec<(Arc<str>, Arc<str>)>,
    examples: Dataset,
    evaluator: MetricHandle,
    version: Option<String>,
    recipe: OptimizerHandle,
    options: Box<dyn FnOnce(TextCompiler) -> TextCompiler + Send>,
}

/// What runs the recipe.
pub type TextCompiler = Compiler<OptimizerHandle>;

/// What the LM has to know that is used to instructions.
const AS_TEXT: &str = "The instructions are a text that no language model has to follow: it is used \
    and judged as it stands, and the feedback is on it. Keep to its form.";

fn by_reflection(background: String) -> OptimizerHandle {
    OptimizerHandle::new(Gepa { background: Some(background), ..Gepa::default() })
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OptimizedText {
    /// The best texts; those given if nothing was better.
    pub texts: Texts,
    /// The texts as given beside the best.
    pub report: Report,
}

/// Improves named texts by an evaluator: [`TextOptimizer::new`].
pub fn optimize_text<N: Into<Arc<str>>, T: Into<Arc<str>>>(
    texts: impl IntoIterator<Item = (N, T)>,
    evaluator: impl Evaluator,
) -> TextOptimizer {
    TextOptimizer::new(texts, evaluator)
}

impl TextOptimizer {
    /// Named texts and who says how good they are. Without examples, the texts are evaluated on a
    /// single empty one.
    pub fn new<N: Into<Arc<str>>, T: Into<Arc<str>>>(
        texts: impl IntoIterator<Item = (N, T)>,
        evaluator: impl Evaluator,
    ) -> Self {
        let nothing = Example::new(Record::new(), [""; 0]);
        Self {
            texts: texts.into_iter().map(|(name, text)| (name.into(), text.into())).collect(),
            examples: Dataset::new("no examples", vec![nothing]),
            evaluator: MetricHandle::new(Judge(evaluator)),
            version: None,
            recipe: by_reflection(AS_TEXT.into()),
            options: Box::new(|compiler| compiler),
        }
    }

    /// The version of the evaluator, in any form. An evaluator that changed cannot be told from what
    /// it was: a study goes on with its old scores unless this changes too. Default: none.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// What the texts are for and what must stay as it is, for the LM that improves them: the
    /// default recipe with this background.
    #[must_use]
    pub fn purpose(self, purpose: impl Into<String>) -> Self {
        let recipe = by_reflection(format!("{AS_TEXT} What it is for: {}", purpose.into()));
        Self { recipe, ..self }
    }

    /// Another recipe that writes instructions. Default: [`Gepa`], told that it is about a text.
    #[must_use]
    pub fn recipe(mut self, recipe: impl Optimizer + 'static) -> Self {
        self.recipe = OptimizerHandle::new(recipe);
        self
    }

    /// Examples to improve and choose the texts by; some are held back to measure the result on.
    /// Default: a single empty one.
    #[must_use]
    pub fn examples(mut self, examples: &Dataset) -> Self {
        self.examples = examples.clone();
        self
    }

    /// Sets options of the compile: limits, stop conditions, study, seed, further examples.
    #[must_use]
    pub fn with(
        mut self,
        change: impl FnOnce(TextCompiler) -> TextCompiler + Send + 'static,
    ) -> Self {
        let before = self.options;
        self.options = Box::new(move |compiler| change(before(compiler)));
        self
    }

    /// Improves the texts.
    ///
    /// # Errors
    /// No text, or a name twice; those of [`Compiler::compile`].
    pub async fn optimize(self, cx: &Context) -> Result<OptimizedText> {
        let program = Program::new(Artefacts::new(&self.texts)?);
        let evaluator = match self.version {
            Some(version) => named(format!("evaluator {version}"), self.evaluator),
            None => self.evaluator,
        };
        let compiler = (self.options)(Compiler::new(self.recipe, evaluator));
        let (winner, report) = compiler.run(cx, &program, &self.examples).await?;
        let text = |(name, written): &(Arc<str>, Arc<str>)| {
            let laid = winner.state().get(name).and_then(|p| p.instructions.clone());
            (name.clone(), laid.unwrap_or_else(|| written.clone()))
        };
        let texts = Texts(Arc::new(self.texts.iter().map(text).collect()));
        Ok(OptimizedText { texts, report })
    }
}

/// The evaluator as a metric of a program that gives the texts themselves.
struct Judge<E>(E);

impl<E: Evaluator> Metric for Judge<E> {
    async fn score(
        &self,
        cx: &Context,
        example: &Example,
        prediction: &Prediction,
    ) -> Result<Score> {
        let text = |(name, text): (&Arc<str>, &serde_json::Value)| {
            (name.clone(), Arc::from(text.as_str().unwrap_or_default()))
        };
        let texts = Texts(Arc::new(prediction.output.iter().map(text).collect()));
        self.0.evaluate(cx, &texts, example).await
    }

    fn name(&self) -> String {
        "evaluator".into()
    }
}

/// A program whose predictors are the texts: it answers with those in force.
struct Artefacts(Vec<Artefact>);

struct Artefact {
    name: Arc<str>,
    signature: Signature,
    parameters: Arc<Parameters>,
    slot: PathSlot,
}

impl Artefacts {
    fn new(texts: &[(Arc<str>, Arc<str>)]) -> Result<Self> {
        if texts.is_empty() {
            return Err(Error::Config("there is no text to improve; give at least one".into()));
        }
        let mut all: Vec<Artefact> = Vec::new();
        for (name, text) in texts {
            if name.is_empty() || all.iter().any(|other| other.name == *name) {
                return Err(Error::Config(format!(
                    "the texts need different names, not empty; `{name}` is there twice or empty"
                )));
            }
            let signature: Signature = "example -> result".parse()?;
            all.push(Artefact {
                name: name.clone(),
                signature: signature.with_instructions(text.clone()),
                parameters: Arc::default(),
                slot: PathSlot::default(),
            });
        }
        Ok(Self(all))
    }
}

impl Predictor for Artefact {
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

impl Predictors for Artefact {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        visit.predictor(self);
    }
}

impl Predictors for Artefacts {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        self.0.iter().for_each(|text| visit.field(&text.name, text));
    }
}

impl Module for Artefacts {
    type Input = Record;
    type Output = Record;

    async fn forward(&self, cx: &Context, input: Record) -> Result<Prediction> {
        let mut output = Record::new();
        for artefact in &self.0 {
            let laid = cx.parameters(&artefact.slot.get());
            let text = laid.iter().find_map(|p| p.instructions.as_deref());
            output.insert(artefact.name.clone(), text.unwrap_or(artefact.signature.instructions()));
            if let Some(trace) = cx.trace() {
                trace.push(TraceStep {
                    path: artefact.slot.get(),
                    order: trace.begin(),
                    inputs: input.clone(),
                    outputs: Record::new(),
                    evidence: EvidenceByField::new(),
                    error: None,
                });
            }
        }
        Ok(Prediction::new(output))
    }
}
