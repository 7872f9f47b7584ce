//! `teleprompt quickstart`: a program gets better on the LM inside this binary.

use std::time::Instant;

use serde_json::{Value, json};
use teleprompt_core::{Kind, Result, Signature};

use super::app::{App, Loaded, single};
use super::args::{ModuleKind, QuickstartArgs};
use super::{compile, output};
use crate::data::{Dataset, Format, Share, Split, Splitter};
use crate::evaluate::{metrics, reference};
use crate::optimize::OptimizerHandle;
use crate::optimize::teleprompter::BootstrapFewShotWithRandomSearch;
use crate::saved::Source;

const MESSAGES: &[u8] = include_bytes!("../../assets/quickstart/messages.jsonl");

/// Fixed, so that everyone sees the same split.
const SPLIT_SEED: u64 = 231_003_714;

/// The task: one short line and the labels, which is what small LMs can follow.
const SIGNATURE: &str = r#""What does the customer want?" message -> intent: enum["track_order", "cancel_order", "return_item", "refund_status", "damaged_item", "change_address", "payment_problem", "account_login"]"#;

/// The recipe, in sizes for under four minutes on two cores.
fn recipe() -> BootstrapFewShotWithRandomSearch {
    BootstrapFewShotWithRandomSearch {
        max_labeled_demos: 8,
        num_candidate_programs: 1,
        calibration_examples: 40,
        ..BootstrapFewShotWithRandomSearch::default()
    }
}

pub(super) async fn quickstart(app: &App, args: &QuickstartArgs) -> Result<()> {
    let started = Instant::now();
    let signature: Signature = SIGNATURE.parse()?;
    let data = Dataset::parse("quickstart messages", MESSAGES, Format::JsonLines)?;
    let split = split(&data.for_signature(&signature, &[])?)?;
    introduce(app, &signature, &split);
    let loaded = Loaded {
        program: single(signature, ModuleKind::Predict)?,
        source: Some(Source::Module("predict".into())),
        lms: Vec::new(),
        members: 1,
    };
    let job = compile::Job {
        val: Some(split.val.clone()),
        test: Some(split.test.clone()),
        ..compile::Job::new(loaded, split.train.clone(), metrics::exact_match("intent"))
    };
    let out = Some(args.output.clone().into());
    let done = compile::run(app, job, OptimizerHandle::new(recipe()), out).await?;
    let majority = reference::majority(&split.train, &split.test, "intent");
    let neighbour = reference::nearest_neighbour(&split.train, &split.test, "message", "intent");
    if app.common.json {
        let mut value = compile::with_output(&done)?;
        if let Value::Object(map) = &mut value {
            map.insert("majority_class".into(), json!(majority));
            map.insert("nearest_neighbour".into(), json!(neighbour));
        }
        return output::json(&value);
    }
    output::print(&table(&done, majority, neighbour, started.elapsed().as_secs_f64()))
}

fn split(data: &Dataset) -> Result<Split> {
    let splitter = Splitter::new(SPLIT_SEED).stratify("intent");
    splitter.train(Share::Rest).val(Share::Count(60)).test(Share::Count(160)).split(data)
}

fn introduce(app: &App, signature: &Signature, split: &Split) {
    let labels = signature.outputs().first().and_then(|f| match &f.ty.kind {
        Kind::Enum(values) => Some(values.len()),
        _ => None,
    });
    app.note(&format!(
        "Teleprompt quickstart: sort {} messages to a shop's support by {} intents.\n\
         {} to learn from, {} to choose by, {} that the compiler never sees.",
        split.train.len() + split.val.len() + split.test.len(),
        labels.unwrap_or_default(),
        split.train.len(),
        split.val.len(),
        split.test.len()
    ));
}

fn table(done: &compile::Done, majority: f64, neighbour: f64, seconds: f64) -> String {
    let (command, report, path) = (command(), &done.report, done.path.display());
    format!(
        "\n{report}\n\n\
         for comparison, on the same {} messages\n\
         majority class     {:5.1}%\n\
         nearest neighbour  {:5.1}%  (TF-IDF words, cosine, one neighbour)\n\n\
         saved to {} after {seconds:.0} s. Now try\n  \
         {command} run {} message='the parcel never came, where is it?'\n  \
         {command} show {}\n  \
         {command} --help",
        report.winner.n,
        100.0 * majority,
        100.0 * neighbour,
        path,
        path,
        path,
    )
}

/// How the user can call this binary again.
fn command() -> String {
    let installed = "teleprompt".to_owned();
    let (Ok(exe), Ok(here)) = (std::env::current_exe(), std::env::current_dir()) else {
        return installed;
    };
    match exe.strip_prefix(here) {
        Ok(relative) => relative.display().to_string(),
        Err(_) => installed,
    }
}
