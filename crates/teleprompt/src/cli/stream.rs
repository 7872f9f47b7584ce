//! `teleprompt run --stream`: fields while they come.

use std::io::Write;

use futures::StreamExt;
use serde_json::json;
use teleprompt_core::{
    CallId, Context, Error, Event, Module, Prediction, Record, Result, Streamed,
};

use super::app::{App, Loaded};
use super::output;
use crate::saved::Source;

/// Runs the program and shows what comes; gives the prediction.
pub(super) async fn run(
    app: &App,
    loaded: &Loaded,
    cx: &Context,
    inputs: Record,
) -> Result<Prediction> {
    let votes = loaded.members > 1;
    let several = votes || loaded.program.bound().predictors.len() > 1;
    // A module of its own calls its predictor once a run.
    let once = matches!(&loaded.source, Some(Source::Module(_)));
    let mut screen = Screen { several, votes, once, ..Screen::default() };
    let mut run = loaded.program.stream(cx, inputs);
    while let Some(item) = run.next().await {
        match item {
            Ok(Streamed::Event(event)) if app.common.json => output::json_line(&event)?,
            Ok(Streamed::Event(event)) => screen.show(app, &event)?,
            Ok(Streamed::Done(prediction)) => {
                if !app.common.json {
                    screen.end(&prediction)?;
                }
                return Ok(prediction);
            }
            Err(error) => {
                screen.line()?;
                return Err(error);
            }
        }
    }
    Err(Error::Other("the program ended without a prediction".into()))
}

/// The last line of a stream for machines.
pub(super) fn last_line(prediction: &Prediction, cx: &Context, lm: &str) -> Result<()> {
    output::json_line(&json!({
        "event": "prediction", "fields": prediction.output, "flags": prediction.flags(),
        "completions": &*prediction.completions, "usage": cx.meter().usage(), "lm": lm,
    }))
}

/// What stands on the terminal.
#[derive(Default)]
struct Screen {
    /// The program has several predictors, so each call gets a heading.
    several: bool,
    /// Members run at the same time, so their fields are shown when they are whole: pieces of
    /// several texts would be mixed up.
    votes: bool,
    /// Each member makes one call.
    once: bool,
    call: Option<CallId>,
    /// The field whose text is being written.
    field: Option<String>,
    /// Something stands on the present line.
    dirty: bool,
}

impl Screen {
    fn show(&mut self, app: &App, event: &Event) -> Result<()> {
        match event {
            Event::Text { .. } if self.votes => Ok(()),
            Event::Text { call, field, text } => {
                self.enter(call, Some(field))?;
                self.write(text)
            }
            // A field that was not told in pieces is told now.
            Event::Field { call, field, value } => {
                if self.field.as_deref() != Some(&**field) || self.call.as_ref() != Some(call) {
                    self.enter(call, Some(field))?;
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    self.write(&text)?;
                }
                self.line()
            }
            Event::Restart { call } => {
                self.line()?;
                self.field = None;
                app.note(&format!("the reply of {} did not parse; asking again", call.path));
                Ok(())
            }
            Event::ToolCall { call, tool } => {
                self.enter(call, None)?;
                self.write(&format!("→ {}({})", tool.name, tool.arguments))?;
                self.line()
            }
            Event::Status { message } => {
                self.line()?;
                app.note(message);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Goes on with this call and field, with headings where they change.
    fn enter(&mut self, call: &CallId, field: Option<&str>) -> Result<()> {
        if self.call.as_ref() != Some(call) {
            self.line()?;
            self.field = None;
            self.call = Some(call.clone());
            if self.several {
                self.write(&format!("── {} ──", self.heading(call)))?;
                self.line()?;
            }
        }
        if let Some(field) = field.filter(|f| self.field.as_deref() != Some(f)) {
            self.line()?;
            self.field = Some(field.to_owned());
            self.write(&format!("{field}: "))?;
        }
        Ok(())
    }

    fn heading(&self, call: &CallId) -> String {
        let n = call.number + 1;
        match (self.votes, self.once) {
            (true, true) => format!("member {n}"),
            (true, false) => format!("{}, call {n}", call.path),
            (false, _) => call.path.to_string(),
        }
    }

    fn end(&mut self, prediction: &Prediction) -> Result<()> {
        self.line()?;
        if self.several {
            output::print(&format!("── result ──\n{}", output::record(&prediction.output)))?;
        }
        Ok(())
    }

    fn line(&mut self) -> Result<()> {
        if std::mem::take(&mut self.dirty) { self.raw("\n") } else { Ok(()) }
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.dirty = true;
        self.raw(text)
    }

    /// Now, not at the end of the line: who reads a pipe wants the pieces too.
    fn raw(&self, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("stdout", &e)),
            _ => Ok(()),
        }
    }
}
