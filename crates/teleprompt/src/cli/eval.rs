//! `teleprompt eval`.

use serde_json::{Value, json};
use teleprompt_core::{Error, Meter, Module, Result};

use super::app::{App, Loaded};
use super::args::EvalArgs;
use super::compile::{data, mapping, metric_for};
use super::{cancel_on_ctrl_c, output};
use crate::evaluate::{Comparison, Evaluate, Evaluation, compare};

/// Rows that are shown to people.
const SHOWN: usize = 10;

pub(super) async fn eval(app: &App, args: &EvalArgs) -> Result<()> {
    let loaded = app.program(&args.program)?;
    let other = args.compare.as_ref().map(|p| app.program(p)).transpose()?;
    let interface = loaded.program.interface();
    let mut examples = data(&args.data, interface.as_ref(), &mapping(&args.map)?)?;
    if let Some(limit) = args.limit {
        examples = examples.take(limit);
    }
    let metric = metric_for(&args.metric, interface.as_ref(), &examples)?;
    let cancel = cancel_on_ctrl_c();
    // One budget for both programs.
    let meter = Meter::new(args.limits.limits());
    let run = async |loaded: &Loaded| {
        let (cx, lm) = app.context(loaded, cancel.clone()).await?;
        let evaluate = Evaluate::new(examples.clone(), metric.clone())
            .concurrency(app.concurrency(&lm))
            .progress(!app.common.quiet);
        evaluate.run_partial(&cx.with_meter(meter.clone()), &loaded.program).await
    };
    let evaluation = run(&loaded).await?;
    if let Some(path) = &args.out {
        evaluation.write(path)?;
        app.note(&format!("rows written to {path}"));
    }
    let second = match &other {
        Some(other) if evaluation.stopped.is_none() => Some(run(other).await?),
        _ => None,
    };
    tell(app, &evaluation, second.as_ref())?;
    let stopped = evaluation.stopped.or(second.and_then(|s| s.stopped));
    stopped.map_or(Ok(()), |error| Err(incomplete(error)))
}

/// The key figures were printed; the exit code says that they are not of all examples.
fn incomplete(error: Error) -> Error {
    match error {
        Error::Cancelled => Error::Other("stopped before all examples were done".into()),
        other => other,
    }
}

fn tell(app: &App, evaluation: &Evaluation, second: Option<&Evaluation>) -> Result<()> {
    if evaluation.stopped.is_some() && app.common.json {
        return Ok(());
    }
    let complete = second.filter(|s| s.stopped.is_none());
    let comparison = complete.map(|s| compare(s, evaluation)).transpose()?;
    if app.common.json {
        return output::json(&summary(evaluation, second, comparison.as_ref()));
    }
    let mut text = format!("{}\n{evaluation}", evaluation.table(SHOWN));
    if let Some(second) = second {
        text.push_str(&format!("\ncompared with\n{second}"));
    }
    if let Some(comparison) = comparison {
        text.push_str(&format!("\n{comparison}"));
    }
    output::print(&text)
}

fn summary(
    first: &Evaluation,
    second: Option<&Evaluation>,
    comparison: Option<&Comparison>,
) -> Value {
    let mut value = first.summary();
    if let (Some(second), Value::Object(map)) = (second, &mut value) {
        map.insert("compare".into(), second.summary());
        map.insert("comparison".into(), json!(comparison));
    }
    value
}
