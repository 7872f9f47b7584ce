//! What a compile may take, told before it starts.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use teleprompt_core::{
    Context, Limits, Lm, LmHandle, LmRequest, Message, Module, Money, Parameters, Price, Program,
    Record, Result, Signature, bind,
};

use super::splits::Splits;
use super::{Compiler, Optimizer, Sizes};
use crate::data::Dataset;

/// Train examples on which prompts are measured.
const SAMPLE: usize = 8;
/// Bytes a token, where the LM does not count: English text in today's vocabularies.
const BYTES_A_TOKEN: u64 = 4;
/// Tokens of an output that no example shows, such as reasoning or a step between.
const UNSEEN_OUTPUT: u64 = 64;
/// Tokens of a question to the LM that writes, and of its answer: instructions, examples and past
/// attempts in; a paragraph out.
const QUESTION: (u64, u64) = (2000, 400);

/// What a compile may take. Runs, questions and calls are the most that it can be; tokens and money
/// are about right for a program that calls each predictor once and a search that uses all of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// The most runs of the program or the teacher, the final evaluation included.
    pub runs: u64,
    /// Those of them that are the final evaluation: the program as written and the winner on the
    /// test examples.
    pub final_runs: u64,
    /// The most questions to the LM that writes instructions, rules and feedback.
    pub questions: u64,
    /// The most LM calls: one a predictor a run, and the questions. A reply that does not parse is
    /// asked again on top of this.
    pub lm_calls: u64,
    /// Prompt tokens, about: without the demonstrations that a compile adds.
    pub prompt_tokens: u64,
    /// Completion tokens, about.
    pub completion_tokens: u64,
    /// What the LMs of known price charge for that, about; none if no price is known.
    pub cost: Option<Money>,
    /// The LMs whose price is not known.
    pub unpriced: Vec<String>,
    /// What these figures leave out, in words.
    pub remarks: Vec<String>,
}

impl Estimate {
    /// Which limits are below what the compile may take, each in a sentence.
    pub fn over(&self, limits: &Limits) -> Vec<String> {
        let mut over = Vec::new();
        let mut compare = |what: &str, most: u64, limit: Option<u64>| {
            if let Some(limit) = limit.filter(|limit| most > *limit) {
                over.push(format!("{most} {what} are more than the limit of {limit}"));
            }
        };
        compare("LM calls", self.lm_calls, limits.calls);
        compare("tokens", self.prompt_tokens + self.completion_tokens, limits.tokens);
        if let (Some(cost), Some(limit)) = (self.cost, limits.cost)
            && cost > limit
        {
            over.push(format!("{cost} is more than the limit of {limit}"));
        }
        over
    }
}

/// `1 question`, `2 questions`.
fn counted(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "estimate     at most {} ({} of them the final evaluation) and {}: at most {}\n             \
             about {} + {} tokens, {}",
            counted(self.runs, "program run"),
            self.final_runs,
            counted(self.questions, "question"),
            counted(self.lm_calls, "LM call"),
            self.prompt_tokens,
            self.completion_tokens,
            self.cost_text()
        )?;
        self.remarks.iter().try_for_each(|remark| write!(f, "\n             {remark}"))
    }
}

impl Estimate {
    fn cost_text(&self) -> String {
        let unpriced = self.unpriced.join(", ");
        match (self.cost, self.unpriced.is_empty()) {
            (Some(cost), true) => format!("about {cost}"),
            (Some(cost), false) => format!("about {cost}, and the price of {unpriced} is unknown"),
            (None, true) => "nothing to pay".to_owned(),
            (None, false) => format!("the price of {unpriced} is unknown"),
        }
    }
}

/// What something uses: a call, a run, a search.
#[derive(Clone, Default)]
struct Load {
    prompt: u64,
    completion: u64,
    cost: Option<Money>,
    unpriced: Vec<String>,
}

impl Load {
    /// Of one call to this LM.
    fn call(lm: &LmHandle, prompt: u64, completion: u64) -> Self {
        let cost = |price: Price| price.input.times(prompt) + price.output.times(completion);
        let cost = lm.price().map(cost);
        let unpriced = if cost.is_none() { vec![lm.name().to_owned()] } else { Vec::new() };
        Self { prompt, completion, cost, unpriced }
    }

    fn add(&mut self, other: Self) {
        self.prompt = self.prompt.saturating_add(other.prompt);
        self.completion = self.completion.saturating_add(other.completion);
        self.cost = match (self.cost, other.cost) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        self.know(other.unpriced);
    }

    fn know(&mut self, unpriced: Vec<String>) {
        for name in unpriced {
            if !self.unpriced.contains(&name) {
                self.unpriced.push(name);
            }
        }
    }

    fn times(mut self, n: u64) -> Self {
        self.prompt = self.prompt.saturating_mul(n);
        self.completion = self.completion.saturating_mul(n);
        self.cost = self.cost.map(|cost| cost.times(n));
        if n == 0 {
            return Self::default();
        }
        self
    }

    /// The dearer of both in each respect.
    fn max(mut self, other: Self) -> Self {
        self.prompt = self.prompt.max(other.prompt);
        self.completion = self.completion.max(other.completion);
        self.cost = self.cost.max(other.cost);
        self.know(other.unpriced);
        self
    }
}

impl<O: Optimizer> Compiler<O> {
    /// What compiling this program may take, without calling an LM. What the study knows already is
    /// not taken off.
    ///
    /// # Errors
    /// The examples cannot be split; a predictor names an LM that the context does not have.
    pub fn estimate<M: Module + Clone>(
        &self,
        cx: &Context,
        program: &M,
        train: &Dataset,
    ) -> Result<Estimate> {
        let program = &Program::new(program.clone());
        let validates = self.optimizer.validates() || !self.lms.is_empty();
        let splits =
            Splits::new(train, self.val.as_ref(), self.test.as_ref(), validates, self.seed)?;
        let predictors = program.bound().predictors.len();
        let (train, val) = (splits.train.len(), splits.val.len());
        let cost = self.optimizer.cost(Sizes { train, val, predictors });
        let trials = if self.lms.is_empty() { 0 } else { 1 + predictors * self.lms.len() };
        let choosing = (trials * val) as u64;
        let final_runs = 2 * splits.test.len() as u64;
        let mut all = self.dearest_run(cx, program, &splits.train)?.times(cost.runs);
        all.add(self.chosen_run(cx, program, &splits.train)?.times(choosing));
        all.add(run(cx, program, &splits.train, None)?.times(final_runs));
        let writer = self.prompt_cx.as_ref().unwrap_or(cx).lm();
        all.add(Load::call(writer, QUESTION.0, QUESTION.1).times(cost.questions));
        let runs = cost.runs.saturating_add(choosing + final_runs);
        Ok(Estimate {
            runs,
            final_runs,
            questions: cost.questions,
            lm_calls: runs.saturating_mul(predictors as u64).saturating_add(cost.questions),
            prompt_tokens: all.prompt,
            completion_tokens: all.completion,
            cost: all.cost,
            unpriced: all.unpriced,
            remarks: remarks(cx, &splits, cost.questions),
        })
    }

    /// A run of the search, by the student or by the teacher, whichever is dearer.
    fn dearest_run(&self, cx: &Context, program: &Program, train: &Dataset) -> Result<Load> {
        let student = run(cx, program, train, None)?;
        if self.teacher.is_none() && self.teacher_cx.is_none() {
            return Ok(student);
        }
        let teacher_cx = self.teacher_cx.as_ref().unwrap_or(cx);
        let teacher = run(teacher_cx, self.teacher.as_ref().unwrap_or(program), train, None)?;
        Ok(student.max(teacher))
    }

    /// A run with the dearest of the LMs that predictors may use.
    fn chosen_run(&self, cx: &Context, program: &Program, train: &Dataset) -> Result<Load> {
        let mut dearest = run(cx, program, train, None)?;
        for name in &self.lms {
            dearest = dearest.max(run(cx, program, train, Some(cx.lm_named(Some(name))?))?);
        }
        Ok(dearest)
    }
}

fn remarks(cx: &Context, splits: &Splits, questions: u64) -> Vec<String> {
    let n = splits.train.len().min(SAMPLE);
    let how = match cx.lm().count_tokens(&LmRequest::new(vec![Message::user("a")])) {
        Some(_) => "counted by the LM".to_owned(),
        None => format!("a token taken as {BYTES_A_TOKEN} bytes"),
    };
    let mut remarks = vec![
        format!(
            "tokens are those of the program as written on {n} examples, {how}; demonstrations \
                 that the compile adds make prompts longer"
        ),
        "replies that do not parse are asked again on top of this".to_owned(),
    ];
    if questions > 0 {
        let (prompt, reply) = QUESTION;
        remarks.push(format!("a question is taken as {prompt} + {reply} tokens"));
    }
    remarks
}

/// A run of the program as written: each predictor once, or all of them on one LM.
fn run(cx: &Context, program: &Program, train: &Dataset, on: Option<&LmHandle>) -> Result<Load> {
    let bound = bind(program);
    let mut load = Load::default();
    for (path, predictor) in &bound.predictors {
        let parameters = bound.parameters.get(path).unwrap_or(predictor.parameters());
        let signature = parameters.apply(predictor.signature());
        let lm = match on {
            Some(lm) => lm,
            None => cx.lm_named(parameters.lm.as_deref())?,
        };
        load.add(call(cx, lm, &signature, parameters, train));
    }
    Ok(load)
}

/// A call, as the mean over some examples.
fn call(
    cx: &Context,
    lm: &LmHandle,
    signature: &Signature,
    parameters: &Parameters,
    train: &Dataset,
) -> Load {
    let adapter = cx.adapter();
    let prompt = adapter.prompt(signature, parameters.demos());
    let fields: Vec<Record> = train.iter().take(SAMPLE).map(|e| e.fields.clone()).collect();
    let fields = if fields.is_empty() { vec![Record::new()] } else { fields };
    let (mut prompts, mut completions) = (0, 0);
    for record in &fields {
        let mut messages = prompt.messages.to_vec();
        messages.push(Message::user(adapter.user(signature, record)));
        prompts += tokens(lm, messages);
        let shown = |name: &Arc<str>| record.get(name).map(|v| (name.clone(), v.clone()));
        let outputs: Record = signature.outputs().iter().filter_map(|f| shown(&f.name)).collect();
        let unseen = (signature.outputs().len() - outputs.len()) as u64;
        let reply = adapter.assistant(signature, &outputs).len() as u64;
        completions += reply.div_ceil(BYTES_A_TOKEN) + unseen * UNSEEN_OUTPUT;
    }
    let n = fields.len() as u64;
    Load::call(lm, prompts.div_ceil(n), completions.div_ceil(n))
}

fn tokens(lm: &LmHandle, messages: Vec<Message>) -> u64 {
    let bytes: u64 = messages.iter().map(|m| m.content.len() as u64).sum();
    let counted = lm.count_tokens(&LmRequest::new(messages));
    counted.unwrap_or_else(|| bytes.div_ceil(BYTES_A_TOKEN))
}

#[cfg(test)]
mod tests;
