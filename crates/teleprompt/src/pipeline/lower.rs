//! The file's steps to blocks: signatures and conditions parsed, names checked for themselves.

use std::collections::HashSet;
use std::sync::Arc;

use teleprompt_core::names::suggestion;
use teleprompt_core::{Parameters, Signature};

use super::expr::{Expr, WORDS};
use super::file::{FileBody, FilePredictor, FileStep, Text};
use super::fits::is_text;
use super::mistake::Mistake;
use super::plan::{Block, Body, Collect, Condition, Give, Read, Source, Step, StepModule};
use crate::module::{ChainOfThought, Predict};

type Lowered<T> = Result<T, Mistake>;

/// Builds the blocks of a file; `text` is the whole of it, for carets.
pub(super) fn blocks(text: &str, steps: &[FileStep]) -> Lowered<Vec<Block>> {
    Lowering { text, names: HashSet::new() }.blocks(steps)
}

struct Lowering<'t> {
    text: &'t str,
    /// Of steps and groups so far.
    names: HashSet<String>,
}

impl Lowering<'_> {
    fn blocks(&mut self, steps: &[FileStep]) -> Lowered<Vec<Block>> {
        steps.iter().map(|step| self.block(step)).collect()
    }

    fn block(&mut self, step: &FileStep) -> Lowered<Block> {
        self.name(&step.name)?;
        let name: Arc<str> = step.name.value.as_str().into();
        let context = format!("step `{name}`");
        let condition = |text: &Option<Text>, key: &str| {
            let parsed = text.as_ref().map(|text| self.condition(text)).transpose();
            parsed.map_err(|m| m.within(&format!("{context}: {key}")))
        };
        let (when, until) = (condition(&step.when, "when")?, condition(&step.until, "until")?);
        let body = match &step.body {
            FileBody::Group(inner) => Body::Group(self.blocks(inner)?),
            FileBody::Predictor(predictor) => {
                let step = self.step(&name, predictor).map_err(|m| m.within(&context))?;
                Body::Step(Box::new(step))
            }
        };
        Ok(Block { name, when, times: step.times, until, body })
    }

    fn name(&mut self, name: &Text) -> Lowered<()> {
        if !is_name(&name.value) {
            let message = format!("`{}` cannot be the name of a step", name.value);
            return Err(name.mistake(message).help("use letters, digits and `_`, a letter first"));
        }
        if WORDS.contains(&name.value.as_str()) {
            let message = format!("`{}` has a meaning in conditions", name.value);
            return Err(name.mistake(message).help("give the step another name"));
        }
        if !self.names.insert(name.value.clone()) {
            let message = format!("there are two steps `{}`", name.value);
            return Err(name.mistake(message).help("give each its own name, in groups, too"));
        }
        Ok(())
    }

    fn condition(&self, text: &Text) -> Lowered<Condition> {
        let expr = Expr::parse(&text.value).map_err(|m| text.inside(self.text, m))?;
        Ok(Condition { expr, text: text.clone() })
    }

    fn step(&self, name: &Arc<str>, step: &FilePredictor) -> Lowered<Step> {
        let written = self.signature(step)?;
        let module = module(step, &written)?;
        let signature = match &module {
            StepModule::Predict(module) => module.signature().clone(),
            StepModule::Cot(module) => module.signature().clone(),
        };
        let gives = signature.outputs().iter().map(|f| Give {
            field: f.name.clone(),
            key: format!("{name}.{}", f.name).into(),
            written: written.output(&f.name).is_some(),
        });
        Ok(Step {
            name: name.clone(),
            lm: step.lm.as_ref().map(|lm| lm.value.clone()),
            reads: reads(step, &signature)?,
            gives: gives.collect(),
            collects: collects(step, &signature)?,
            answers: false,
            span: step.signature.span.clone(),
            module,
            signature,
        })
    }

    fn signature(&self, step: &FilePredictor) -> Lowered<Signature> {
        let text = &step.signature;
        let signature: Signature =
            text.value.parse().map_err(|e| text.signature_error(self.text, e))?;
        match &step.instructions {
            Some(extra) if !signature.instructions().is_empty() => {
                let message = "there are instructions in the signature and under `instructions`";
                Err(extra.mistake(message).help("keep one of them"))
            }
            Some(text) => Ok(signature.with_instructions(text.value.trim())),
            None => Ok(signature),
        }
    }
}

/// Whether it can name a step or a list.
fn is_name(text: &str) -> bool {
    text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn module(step: &FilePredictor, signature: &Signature) -> Lowered<StepModule> {
    let parameters = Parameters {
        lm: step.lm.as_ref().map(|lm| lm.value.as_str().into()),
        ..Parameters::default()
    };
    if let Some(empty) = step.lm.as_ref().filter(|lm| lm.value.trim().is_empty()) {
        return Err(empty.mistake("`lm` is empty").help("leave it out to use the LM of the run"));
    }
    let unbuilt = |e: teleprompt_core::Error| step.signature.mistake(e.to_string());
    let word = step.module.as_ref().map_or("predict", |m| m.value.as_str());
    match (word, &step.module) {
        ("predict", _) => {
            let module = Predict::of(signature.clone()).map_err(unbuilt)?;
            Ok(StepModule::Predict(module.with_parameters(parameters)))
        }
        ("cot", _) => {
            let module = ChainOfThought::of(signature.clone()).map_err(unbuilt)?;
            Ok(StepModule::Cot(module.with_parameters(parameters)))
        }
        (other, place) => {
            let hint = suggestion(other, ["predict", "cot"]);
            let span = place.as_ref().map_or(0..0, |m| m.span.clone());
            Err(Mistake::new(span, format!("there is no module `{other}`{hint}")))
        }
    }
}

fn reads(step: &FilePredictor, signature: &Signature) -> Lowered<Vec<Read>> {
    for (field, _) in &step.wire {
        if signature.input(&field.value).is_none() {
            let hint = suggestion(&field.value, signature.inputs().iter().map(|f| &*f.name));
            return Err(field.mistake(format!("wire: there is no input `{}`{hint}", field.value)));
        }
    }
    let source = |text: &Text| Source { key: text.value.trim().into(), span: text.span.clone() };
    let read = |field: &teleprompt_core::Field| {
        let wired = step.wire.iter().find(|(name, _)| *name.value == *field.name);
        Read {
            field: field.name.clone(),
            ty: field.ty.clone(),
            nullable: field.ty.is_nullable(signature.defs()),
            text: is_text(&field.ty, signature.defs()),
            sources: match wired {
                Some((_, sources)) => sources.iter().map(source).collect(),
                None => {
                    vec![Source { key: field.name.clone(), span: step.signature.span.clone() }]
                }
            },
        }
    };
    Ok(signature.inputs().iter().map(read).collect())
}

fn collects(step: &FilePredictor, signature: &Signature) -> Lowered<Vec<Collect>> {
    let collect = |(list, field): &(Text, Text)| {
        if !is_name(&list.value) || WORDS.contains(&list.value.as_str()) {
            let message = format!("collect: `{}` cannot be the name of a list", list.value);
            return Err(list.mistake(message).help("use letters, digits and `_`, a letter first"));
        }
        if signature.output(&field.value).is_none() {
            let hint = suggestion(&field.value, signature.outputs().iter().map(|f| &*f.name));
            let message = format!("collect: this step has no output `{}`{hint}", field.value);
            return Err(field.mistake(message));
        }
        let (name, value) = (list.value.as_str().into(), field.value.as_str().into());
        Ok(Collect { list: name, field: value, span: list.span.clone() })
    };
    step.collect.iter().map(collect).collect()
}
