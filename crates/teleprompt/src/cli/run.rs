//! `teleprompt run`, `render` and `parse`.

use std::io::Read;

use serde_json::json;
use teleprompt_core::{
    Capabilities, Error, Lm, LmHandle, LmRequest, Module, Parsed, Result, Signature,
};

use super::app::App;
use super::args::{ParseArgs, RenderArgs, RunArgs};
use super::inputs::inputs;
use super::offline::Offline;
use super::{cancel_on_ctrl_c, output, stream, usage};
use crate::lm::Registry;

pub(super) async fn run(app: &App, args: &RunArgs) -> Result<()> {
    if args.stream && args.n > 1 {
        return Err(usage("--stream shows one completion; leave out --n or --stream"));
    }
    let loaded = app.program(&args.program)?;
    let inputs = inputs(&args.inputs, loaded.program.interface().as_ref())?;
    let (cx, lm) = app.context(&loaded, cancel_on_ctrl_c()).await?;
    loaded.voters().iter().for_each(|text| app.note(text));
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
    // A curl command is for the LM in force, so the request must be what that LM would get.
    let registry = if args.curl { Some(app.registry()?) } else { None };
    let stand_in = |name: &str| -> Result<LmHandle> {
        let remotes = registry.as_ref().map_or(Ok(Vec::new()), |r| r.remotes(name))?;
        let able = remotes.first().map_or(Capabilities::none(), Lm::capabilities);
        Ok(LmHandle::new(recorder.standing_for(name, able)))
    };
    let in_force = if args.curl { app.lm_name()?.0 } else { "none".into() };
    let mut cx = app.offline_context()?.with_lm(stand_in(&in_force)?);
    for lm in &loaded.lms {
        cx = cx.with_named_lm(lm.as_str(), stand_in(lm)?);
    }
    let result = loaded.program.call(&cx, inputs).await;
    let Some((lm, request)) = recorder.first() else {
        return match result {
            Err(error) => Err(error),
            Ok(_) => Err(usage("the program calls no LM for these inputs")),
        };
    };
    if let Some(voters) = loaded.voters() {
        app.note(&format!("the first call of the first member: {voters}"));
    } else if loaded.program.bound().predictors.len() > 1 {
        app.note("the first call of several; later ones depend on its reply");
    }
    match &registry {
        Some(registry) => curl(app, registry, &lm, &request),
        None => show(app, &request),
    }
}

/// The request as a command line for the server of this LM.
fn curl(app: &App, registry: &Registry, lm: &str, request: &LmRequest) -> Result<()> {
    let remotes = registry.remotes(lm)?;
    let Some(remote) = remotes.first() else {
        return Err(usage(format!(
            "--curl: `{lm}` runs in this process, so there is no request to show; name a server's \
             LM with --lm"
        )));
    };
    let command = remote.curl(request)?;
    if app.common.json {
        return output::json(&json!({"lm": lm, "curl": command}));
    }
    output::print(&command)
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
