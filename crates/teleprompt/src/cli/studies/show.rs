//! `teleprompt studies show`.

use serde_json::{Value, json};
use teleprompt_core::{ProgramState, Result};

use crate::cli::app::App;
use crate::cli::output::{self, at, counted};
use crate::optimize::study::{Archive, Asked, CandidateFacts, Identity};

pub(super) fn study(app: &App, mut study: Archive) -> Result<()> {
    let (why, report) = (study.why()?, study.report()?);
    let command = study.command()?;
    if app.common.json {
        return output::json(&json!({
            "name": study.name(), "folder": study.folder(), "state": study.state(), "why": why,
            "identity": study.identity(), "candidates": study.candidates(),
            "spent": study.spent(), "usage": study.spent().total(), "seconds": study.seconds(),
            "events": study.events(), "notes": study.notes(), "report": report,
            "command": command,
        }));
    }
    let mut lines = vec![format!("study        {}, {}", study.name(), study.state())];
    lines.extend(why.map(|why| format!("ended        {why}")));
    lines.extend(about(study.identity()));
    lines.extend(command.map(|c| format!("started by   teleprompt {}", c.line())));
    let verdict = report.as_ref().and_then(|r| at(r, "/verdict").as_str());
    lines.extend(verdict.map(|verdict| format!("result       {verdict}")));
    lines.extend(spent(&study));
    lines.extend(study.notes().iter().map(|note| format!("remark       {note}")));
    lines.push(format!("candidates   {}", study.candidates().len()));
    lines.extend(study.candidates().iter().map(line));
    output::print(&lines.join("\n"))
}

fn about(identity: &Identity) -> Vec<String> {
    let set = |name: &str, source: &crate::optimize::study::Source| format!("{} {name}", source.n);
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut lines = vec![
        format!(
            "optimizer    {} {}",
            plain(at(&identity.optimizer, "/name")),
            at(&identity.optimizer, "/settings")
        ),
        format!("metric       {}, seed {}", identity.metric, identity.seed),
        format!(
            "data         {}, {}, {} examples",
            set("train", &identity.train),
            set("validation", &identity.val),
            set("test", &identity.test)
        ),
        format!("lm           {}", plain(at(&identity.lm, "/student/lm"))),
    ];
    for (other, name) in [("/teacher/lm", "teacher lm"), ("/prompt/lm", "prompt lm")] {
        let lm = at(&identity.lm, other);
        if !lm.is_null() && lm != at(&identity.lm, "/student/lm") {
            lines.push(format!("{name:<12} {}", plain(lm)));
        }
    }
    lines
}

fn spent(study: &Archive) -> Vec<String> {
    let total = study.spent().total();
    let mut lines = vec![format!(
        "spent        {} ({} from the cache), {} + {} tokens, cost {}, {:.0} s",
        counted(total.calls, "LM call"),
        total.cache_hits,
        total.prompt_tokens,
        total.completion_tokens,
        total.cost_text(),
        study.seconds()
    )];
    for (name, part) in study.spent().parts() {
        let tokens = part.prompt_tokens + part.completion_tokens;
        let (calls, tokens) = (counted(part.calls, "LM call"), counted(tokens, "token"));
        lines.push(format!("  {name:<11}{calls}, {tokens}"));
    }
    lines
}

fn line(facts: &CandidateFacts) -> String {
    let sign = match facts.accepted {
        Some(true) => '+',
        Some(false) => '-',
        None => ' ',
    };
    let score = facts.score.map_or_else(|| "     -".into(), |s| format!("{:5.1}%", 100.0 * s));
    let mut line = format!("  {sign} {}  {score} of {:>4}", facts.candidate, facts.n);
    for text in [&facts.origin, &facts.why] {
        if !text.is_empty() {
            line.push_str(&format!("  {text}"));
        }
    }
    if !facts.parents.is_empty() {
        line.push_str(&format!("  (from {})", facts.parents.join(", ")));
    }
    line
}

pub(super) fn candidate(app: &App, mut study: Archive, hash: &str) -> Result<()> {
    let facts = study.candidate(hash)?.clone();
    let solution = study.solution(&facts.candidate)?;
    let questions = study.questions(&facts.candidate)?;
    if app.common.json {
        let asked = |(what, asked): &(String, Asked)| json!({"what": what, "asked": asked});
        return output::json(&json!({
            "candidate": facts, "parameters": solution,
            "questions": questions.iter().map(asked).collect::<Vec<_>>(),
        }));
    }
    let mut lines = vec![line(&facts).trim_start().to_owned()];
    let members = solution.members();
    lines.extend(crate::cli::app::voters(members.len()));
    for (i, member) in members.iter().enumerate() {
        lines.extend((members.len() > 1).then(|| format!("member {}", i + 1)));
        lines.extend(laid(member));
    }
    for (what, asked) in &questions {
        lines.push(format!("asked        {what}"));
        lines.extend(asked.prompt.iter().map(|(role, text)| format!("── {role} ──\n{text}")));
        lines.push(format!("── reply ──\n{}", asked.reply));
        lines.extend(asked.error.as_ref().map(|error| format!("failed: {error}")));
    }
    output::print(&lines.join("\n"))
}

/// What a candidate, or a member of one, sets.
fn laid(state: &ProgramState) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, parameters) in &state.0 {
        lines.push(path.to_string());
        if let Some(text) = &parameters.instructions {
            lines.push(format!("  instructions  {}", text.replace('\n', "\n                ")));
        }
        lines.extend(parameters.lm.as_ref().map(|lm| format!("  lm            {lm}")));
        lines.push(format!("  demos         {}", parameters.demos().len()));
        lines.extend(parameters.demos().iter().map(|d| format!("    {}", d.to_json())));
    }
    lines
}
