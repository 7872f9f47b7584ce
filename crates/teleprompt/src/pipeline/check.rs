//! Whether the wiring holds together, and what the pipeline takes and gives.

use std::collections::BTreeSet;
use std::sync::Arc;

use teleprompt_core::{Field, Kind, Signature, Type, TypeDefs};

use super::expr::{self, Known};
use super::file::PipelineFile;
use super::fits::{fits, widest};
use super::flow::{Flow, Reached};
use super::mistake::Mistake;
use super::plan::{Block, Body, Condition, Read, Source, Step};
use super::scope::Scope;

/// What the check finds out.
pub(super) struct Checked {
    pub interface: Signature,
    pub outputs: Vec<Output>,
    /// Steps whose outputs may be the pipeline's.
    pub answering: BTreeSet<Arc<str>>,
    /// The lists that steps collect.
    pub lists: Vec<Arc<str>>,
}

/// An output of the pipeline and the key of its value.
#[derive(Clone)]
pub(super) struct Output {
    pub name: Arc<str>,
    pub key: Arc<str>,
}

/// Checks names, order and types; `text` is the file's.
pub(super) fn check(text: &str, file: &PipelineFile, blocks: &[Block]) -> Result<Checked, Mistake> {
    let scope = Scope::new(text, file, blocks)?;
    let conditions = conditions(blocks);
    let outputs = outputs(file, &scope)?;
    check_names(text, &scope, &conditions, &outputs)?;
    let mut flow = Flow::of(&scope, blocks);
    check_order(text, &scope, &conditions, &flow)?;
    let inputs = input_fields(&scope, &mut flow, &conditions)?;
    check_types(text, &scope, &conditions, &flow)?;
    let (fields, answering) = output_fields(&scope, &flow, &outputs)?;
    let defs = used(inputs.iter().chain(&fields), &scope.defs);
    let interface = Signature::new("", inputs, fields, defs).map_err(|e| {
        let span = outputs.first().map_or(0..0, |(_, source)| source.span.clone());
        Mistake::new(span, format!("the inputs and outputs of the pipeline: {}", e.message))
            .help("choose the outputs with `outputs = […]`, or rename a field")
    })?;
    let lists = scope.steps.iter().flat_map(|s| &s.collects).map(|c| c.list.clone());
    Ok(Checked {
        interface,
        lists: lists.collect::<BTreeSet<_>>().into_iter().collect(),
        outputs: outputs.into_iter().map(|(output, _)| output).collect(),
        answering,
    })
}

/// Every condition with the block and key it stands in.
type Conditions<'p> = Vec<(&'p Block, &'static str, &'p Condition)>;

fn conditions(blocks: &[Block]) -> Conditions<'_> {
    let mut found = Vec::new();
    for block in blocks {
        found.extend(block.when.as_ref().map(|c| (block, "when", c)));
        if let Body::Group(inner) = &block.body {
            found.extend(conditions(inner));
        }
        found.extend(block.until.as_ref().map(|c| (block, "until", c)));
    }
    found
}

/// The outputs that the file names, or all that the last step's signature was written with.
fn outputs(file: &PipelineFile, scope: &Scope<'_>) -> Result<Vec<(Output, Source)>, Mistake> {
    let mut outputs: Vec<(Output, Source)> = Vec::new();
    let mut add = |key: &str, span: std::ops::Range<usize>| {
        let name: Arc<str> = key.rsplit('.').next().unwrap_or(key).into();
        if outputs.iter().any(|(other, _)| other.name == name) {
            return Err(Mistake::new(span, format!("outputs: `{name}` is there twice")));
        }
        let source = Source { key: key.into(), span };
        outputs.push((Output { name, key: source.key.clone() }, source));
        Ok(())
    };
    match (&file.outputs, scope.steps.last()) {
        (Some(named), _) => {
            named.iter().try_for_each(|text| add(text.value.trim(), text.span.clone()))?;
        }
        (None, Some(last)) => {
            let mut written = last.gives.iter().filter(|give| give.written);
            written.try_for_each(|give| add(&give.field, last.span.clone()))?;
        }
        (None, None) => {}
    }
    Ok(outputs)
}

/// Every name means something.
fn check_names(
    text: &str,
    scope: &Scope<'_>,
    conditions: &Conditions<'_>,
    outputs: &[(Output, Source)],
) -> Result<(), Mistake> {
    for step in &scope.steps {
        for read in &step.reads {
            let in_step = |m: Mistake| m.within(&format!("step `{}`: `{}`", step.name, read.field));
            read.sources.iter().try_for_each(|s| scope.check(s)).map_err(in_step)?;
        }
    }
    for (block, key, condition) in conditions {
        for (name, place) in condition.expr.names() {
            let source = Source { key: name.clone(), span: place.0.clone() };
            scope.check(&source).map_err(|m| located(text, block, key, condition, m))?;
        }
    }
    outputs.iter().try_for_each(|(_, s)| scope.check(s)).map_err(|m| m.within("outputs"))
}

fn located(
    text: &str,
    block: &Block,
    key: &str,
    condition: &Condition,
    mistake: Mistake,
) -> Mistake {
    condition.text.inside(text, mistake).within(&format!("step `{}`: {key}", block.name))
}

/// Everything that is read can have been given before.
fn check_order(
    text: &str,
    scope: &Scope<'_>,
    conditions: &Conditions<'_>,
    flow: &Flow,
) -> Result<(), Mistake> {
    for step in &scope.steps {
        for read in &step.reads {
            if let Some(reached) = flow.field(step, read) {
                read_in_time(step, read, reached)?;
            }
        }
    }
    for (block, key, condition) in conditions {
        for (name, place) in condition.expr.names() {
            if flow.name(condition, name).is_some_and(|reached| reached.from.is_empty()) {
                let message = format!("`{name}` is given only by a step further down");
                let mistake = Mistake::new(place.0.clone(), message);
                return Err(located(text, block, key, condition, mistake));
            }
        }
    }
    Ok(())
}

fn read_in_time(step: &Step, read: &Read, reached: &Reached) -> Result<(), Mistake> {
    if !reached.never || (read.nullable && !reached.from.is_empty()) {
        return Ok(());
    }
    let span = read.sources.first().map_or(0..0, |source| source.span.clone());
    let keys: Vec<String> = read.sources.iter().map(|s| format!("`{}`", s.key)).collect();
    let what =
        format!("step `{}`: the input `{}` reads {}", step.name, read.field, keys.join(", "));
    if reached.from.is_empty() {
        let help =
            "move the step up, or, if the first value comes from outside, name it in `inputs`";
        let message = format!("{what}, which only a step further down gives");
        return Err(Mistake::new(span, message).help(help));
    }
    let help = format!(
        "make it optional (`{}: {}?`), name a first source (`wire = {{ {0} = [{2}, \"…\"] }}`), or \
         name it in `inputs`",
        read.field,
        read.ty,
        keys.join(", ").replace('`', "\"")
    );
    Err(Mistake::new(span, format!("{what}, which nothing gives in the first round")).help(help))
}

/// The pipeline's inputs with their types: as declared, else as read.
fn input_fields(
    scope: &Scope<'_>,
    flow: &mut Flow,
    conditions: &Conditions<'_>,
) -> Result<Vec<Field>, Mistake> {
    let mut fields = Vec::new();
    for (at, input) in scope.inputs.iter().enumerate() {
        let readers: Vec<(&Step, &Read)> = scope
            .steps
            .iter()
            .flat_map(|step| step.reads.iter().map(move |read| (*step, read)))
            .filter(|(step, read)| flow.field(step, read).is_some_and(|r| r.from.contains(&at)))
            .collect();
        let in_condition = conditions.iter().any(|(_, _, condition)| {
            condition.expr.names().iter().any(|(name, _)| **name == input.name)
        });
        let ty = match (&input.ty, readers.first()) {
            (Some(ty), _) => ty.clone(),
            (None, None) => Type::str(),
            (None, Some(first)) => inferred(input, first, &readers, &scope.defs)?,
        };
        if readers.is_empty() && !in_condition {
            let message = format!("inputs: nothing reads `{}`", input.name);
            return Err(Mistake::new(input.span.clone(), message).help("leave it out"));
        }
        let described = readers.iter().filter_map(|(step, read)| step.signature.input(&read.field));
        let described = described.map(|f| &f.description).find(|d| !d.is_empty());
        let own = (!input.description.is_empty()).then_some(&input.description);
        let description = own.or(described).cloned().unwrap_or_default();
        if let Some(producer) = flow.producers.get_mut(at) {
            producer.ty = Some(ty.clone());
        }
        fields.push(Field { name: input.name.clone(), ty, description });
    }
    Ok(fields)
}

/// The first type of a reader that suits all readers.
fn inferred(
    input: &super::scope::Input,
    first: &(&Step, &Read),
    readers: &[(&Step, &Read)],
    defs: &TypeDefs,
) -> Result<Type, Mistake> {
    let suits = |ty: &Type| {
        // What may be nothing is no value for a reader that needs one.
        let needed = |read: &Read| read.nullable || !ty.is_nullable(defs);
        readers.iter().all(|(_, read)| needed(read) && fits(ty, &read.ty, defs))
    };
    if let Some((_, read)) = readers.iter().find(|(_, read)| suits(&read.ty)) {
        return Ok(read.ty.clone());
    }
    let other = readers.iter().find(|(_, read)| !fits(&first.1.ty, &read.ty, defs));
    let (step, read) = other.unwrap_or(first);
    let message = format!(
        "the input `{}` is {} for step `{}` and {} for step `{}`",
        input.name, first.1.ty, first.0.name, read.ty, step.name
    );
    let help = "give the field the same type in both, or wire them to different inputs";
    Err(Mistake::new(step.span.clone(), message).help(help))
}

/// Every value fits where it goes, and conditions make sense.
fn check_types(
    text: &str,
    scope: &Scope<'_>,
    conditions: &Conditions<'_>,
    flow: &Flow,
) -> Result<(), Mistake> {
    for step in &scope.steps {
        for read in &step.reads {
            read_fits(step, read, flow, &scope.defs)?;
        }
        lists_agree(step, scope)?;
    }
    for (block, key, condition) in conditions {
        let look = |name: &str| {
            let reached = flow.name(condition, &Arc::from(name));
            let types = reached.into_iter().flat_map(|r| flow.producers(r));
            Known { types: types.filter_map(|p| p.ty.as_ref()).collect(), defs: &scope.defs }
        };
        expr::check(&condition.expr, &look).map_err(|m| located(text, block, key, condition, m))?;
    }
    Ok(())
}

fn read_fits(step: &Step, read: &Read, flow: &Flow, defs: &TypeDefs) -> Result<(), Mistake> {
    let Some(reached) = flow.field(step, read) else { return Ok(()) };
    for producer in flow.producers(reached) {
        let Some(ty) = producer.ty.as_ref().filter(|ty| !fits(ty, &read.ty, defs)) else {
            continue;
        };
        let span = read.sources.first().map_or(0..0, |source| source.span.clone());
        let message = format!(
            "step `{}`: the input `{}` is {}, which {} does not fit: it is {ty}",
            step.name, read.field, read.ty, producer.label
        );
        let help = format!("write `{}: {ty}`, or wire another value", read.field);
        return Err(Mistake::new(span, message).help(help));
    }
    Ok(())
}

/// Steps that add to one list add values of one type.
fn lists_agree(step: &Step, scope: &Scope<'_>) -> Result<(), Mistake> {
    for collect in &step.collects {
        let ty = |step: &Step, field: &str| step.signature.output(field).map(|f| f.ty.clone());
        let own = ty(step, &collect.field);
        let other = scope.steps.iter().find_map(|s| {
            let other = s.collects.iter().find(|c| c.list == collect.list)?;
            (ty(s, &other.field) != own).then_some(s)
        });
        if let Some(other) = other {
            let message = format!(
                "step `{}`: collect: step `{}` adds values of another type to `{}`",
                step.name, other.name, collect.list
            );
            let help = "give the outputs the same type, or use two lists";
            return Err(Mistake::new(collect.span.clone(), message).help(help));
        }
    }
    Ok(())
}

/// The pipeline's outputs as fields, and the steps that they may come from.
fn output_fields(
    scope: &Scope<'_>,
    flow: &Flow,
    outputs: &[(Output, Source)],
) -> Result<(Vec<Field>, BTreeSet<Arc<str>>), Mistake> {
    let mut fields = Vec::new();
    let mut answering = BTreeSet::new();
    for (output, source) in outputs {
        let reached = flow.at_end(source);
        let types: Vec<&Type> = flow.producers(&reached).filter_map(|p| p.ty.as_ref()).collect();
        let ty = match widest(&types, &scope.defs) {
            Some(ty) => ty.clone(),
            None => Kind::Union(types.into_iter().cloned().collect()).into(),
        };
        let ty = if reached.maybe_nothing { ty.optional() } else { ty };
        let described = flow.producers(&reached).map(|p| &p.description);
        let description = described.filter(|d| !d.is_empty()).last().cloned().unwrap_or_default();
        answering.extend(flow.producers(&reached).filter_map(|p| p.step.clone()));
        fields.push(Field { name: output.name.clone(), ty, description });
    }
    Ok((fields, answering))
}

/// The definitions that these fields use, themselves or through others.
fn used<'f>(fields: impl Iterator<Item = &'f Field>, defs: &TypeDefs) -> TypeDefs {
    let mut used = TypeDefs::new();
    let mut open: Vec<&Type> = fields.map(|f| &f.ty).collect();
    while let Some(ty) = open.pop() {
        match &ty.kind {
            Kind::Ref(name) => {
                if let Some(ty) = defs.get(name)
                    && used.insert(name.clone(), ty.clone()).is_none()
                {
                    open.push(ty);
                }
            }
            Kind::List(inner) | Kind::Dict(inner) | Kind::Optional(inner) => open.push(inner),
            Kind::Tuple(items) | Kind::Union(items) => open.extend(items),
            Kind::Object(fields) => open.extend(fields.iter().map(|f| &f.ty)),
            _ => {}
        }
    }
    used
}
