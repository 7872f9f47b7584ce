//! `teleprompt run`, `render` and `parse`.

use std::io::Read;

use serde_json::json;
use teleprompt_core::{Error, LmRequest, Module, Parsed, Result, Signature};

use super::app::App;
use super::args::{ParseArgs, RenderArgs, RunArgs};
use super::inputs::inputs;
use super::offline::Offline;
use super::{cancel_on_ctrl_c, output, stream, usage};

pub(super) async fn run(app: &App, args: &RunArgs) -> Result<()> {
    if args.stream && args.n > 1 {
        return Err(usage("--stream shows one completion; leave out --n or --stream"));
    }
    let loaded = app.program(&args.program)?;
    let inputs = inputs(&args.inputs, loaded.program.interface().as_ref())?;
    let (cx, lm) = app.context(&loaded, cancel_on_ctrl_c()).await?;
    let run_cx = cx.with_n(args.n);
    if args.stream {
        let prediction = stream::run(app, &loaded, &run_cx, inputs).await?;
        return if app.common.json { stream::last_line(&prediction, &cx, &lm) } else { Ok(()) };
    }
    let prediction = loaded.program.call(&run_cx, inputs).await?;
    let usage = cx.meter().usage();
    if app.common.json {
        return output::json(&json!({
            "fields": prediction.output, "flags": prediction.flags(),
            "completions": &*prediction.completions, "usage": usage, "lm": lm,
        }));
    }
    for flag in prediction.flags() {
        app.note(&format!("repaired: {flag}"));
    }
    match &*prediction.completions {
        several @ [_, _, ..] => {
            let texts: Vec<String> =
                several.iter().map(|c: &Parsed| output::record(&c.fields)).collect();
            output::print(&texts.join("\n---\n"))
        }
        _ => output::print(&output::record(&prediction.output)),
    }
}

/// Runs the program against an LM that keeps the first request and refuses it.
pub(super) async fn render(app: &App, args: &RenderArgs) -> Result<()> {
    let loaded = app.program(&args.program)?;
    let inputs = inputs(&args.inputs, loaded.program.interface().as_ref())?;
    let recorder = Offline::default();
    let mut cx = app.offline_context()?.with_lm(teleprompt_core::LmHandle::new(recorder.clone()));
    for lm in &loaded.lms {
        cx = cx.with_named_lm(lm.as_str(), cx.lm().clone());
    }
    let result = loaded.program.call(&cx, inputs).await;
    let Some(request) = recorder.first() else {
        return match result {
            Err(error) => Err(error),
            Ok(_) => Err(usage("the program calls no LM for these inputs")),
        };
    };
    if loaded.program.bound().predictors.len() > 1 {
        app.note("the first call of several; later ones depend on its reply");
    }
    show(app, &request)
}

fn show(app: &App, request: &LmRequest) -> Result<()> {
    if app.common.json {
        return output::json(&request.messages);
    }
    let part = |m: &teleprompt_core::Message| format!("── {} ──\n{}", m.role.as_str(), m.content);
    output::print(&request.messages.iter().map(part).collect::<Vec<_>>().join("\n\n"))
}

pub(super) fn parse(app: &App, args: &ParseArgs) -> Result<()> {
    let signature: Signature = args.signature_text.parse()?;
    let mut reply = Vec::new();
    std::io::stdin().read_to_end(&mut reply).map_err(|e| Error::io("stdin", &e))?;
    let reply = String::from_utf8_lossy(&reply);
    let cx = app.offline_context()?;
    let parsed = cx.adapter().parse(&signature, &reply);
    let parsed =
        parsed.map_err(|error| Error::Reply { path: "parse".into(), error: Box::new(error) })?;
    output::json(&parsed)
}
