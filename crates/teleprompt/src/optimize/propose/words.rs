//! Words between us and an LM that writes: examples as text, and answers without their trimmings.

use std::fmt::Write;
use std::future::Future;

use futures::{StreamExt, TryStreamExt, stream};
use teleprompt_core::{Field, Program, Record, Result, Signature, Type};

use super::show;
use crate::module::Predict;
use crate::optimize::study::Asked;
use crate::optimize::{Question, Task};

/// Characters of one value that an example shows; what a task is about can be seen from these.
const SHOWN: usize = 600;

/// The longest instructions taken over. Longer ones are an LM that did not find the end.
const LONGEST: usize = 4000;

/// A question's program: one predictor with these text inputs and one text output.
pub(in crate::optimize) fn writer(
    instructions: &str,
    inputs: &[(&str, &str)],
    output: (&str, &str),
) -> Result<Program> {
    let field = |(name, what): &(&str, &str)| Field::new(*name, Type::str()).described(*what);
    let inputs = inputs.iter().map(field).collect();
    let signature = Signature::new(instructions, inputs, vec![field(&output)], Default::default())?;
    Ok(Program::new(Predict::of(signature)?))
}

/// Examples one below the other, each field on a line of its own.
pub(in crate::optimize) fn shown<'r>(records: impl IntoIterator<Item = &'r Record>) -> String {
    let mut out = String::new();
    for (i, record) in records.into_iter().enumerate() {
        let _ = writeln!(out, "{}Example {}", if i > 0 { "\n" } else { "" }, i + 1);
        show::fields(&mut out, record, SHOWN);
    }
    out.trim_end().to_owned()
}

/// Asks with these examples, and, if that fails, with half of them and so on: a prompt that is too
/// long for the LM, or in which it loses the thread, is the usual reason. At most four questions.
pub(in crate::optimize) async fn ask_with_examples(
    task: &Task<'_>,
    question: Question<'_>,
    examples: &[Record],
) -> Result<Asked> {
    let mut n = examples.len();
    for _ in 0..3 {
        let asked = task.ask(with_examples(&question, examples, n)).await?;
        if asked.error.is_none() || n < 2 {
            return Ok(asked);
        }
        n /= 2;
    }
    task.ask(with_examples(&question, examples, n)).await
}

fn with_examples<'q>(question: &Question<'q>, examples: &[Record], n: usize) -> Question<'q> {
    let mut question = question.clone();
    if n > 0 {
        question.inputs.insert("examples", shown(examples.iter().take(n)));
    }
    question
}

/// What several questions come to, in their order; as many at a time as examples are run.
///
/// # Errors
/// The first error.
pub(in crate::optimize) async fn in_order<T, F>(
    task: &Task<'_>,
    questions: impl IntoIterator<Item = F>,
) -> Result<Vec<T>>
where
    F: Future<Output = Result<T>>,
{
    // Collected first: the futures are made here and only polled there.
    let questions: Vec<F> = questions.into_iter().collect();
    stream::iter(questions).buffered(task.concurrency).try_collect().await
}

/// The text of an answer without its trimmings; none, with a remark, if there is nothing usable in
/// it.
///
/// # Errors
/// The journal cannot be written.
pub(in crate::optimize) fn text_of(
    task: &Task<'_>,
    what: &str,
    asked: &Asked,
    output: &str,
) -> Result<Option<String>> {
    if let Some(error) = &asked.error {
        // The journal has all of it.
        let error = error.lines().next().unwrap_or_default();
        task.note(format!("no {what}: {error}"))?;
        return Ok(None);
    }
    let text = tidy(asked.outputs.str(output).unwrap_or_default());
    let length = text.chars().count();
    if length == 0 || length > LONGEST {
        task.note(format!("no {what}: {length} characters are not from 1 to {LONGEST}"))?;
        return Ok(None);
    }
    Ok(Some(text))
}

/// Without a code fence, a label such as `Proposed instructions:` and quotes around it.
pub(in crate::optimize) fn tidy(text: &str) -> String {
    let mut text = text.trim();
    loop {
        let before = text;
        text = unlabelled(unquoted(unfenced(text)));
        if text == before {
            return text.to_owned();
        }
    }
}

fn unfenced(text: &str) -> &str {
    let inner = text.strip_prefix("```").and_then(|t| t.strip_suffix("```"));
    let Some(inner) = inner else { return text };
    // The word behind the first fence names a language.
    match inner.split_once('\n') {
        Some((first, rest)) if !first.trim().contains(' ') => rest.trim(),
        _ => inner.trim(),
    }
}

fn unquoted(text: &str) -> &str {
    for (open, close) in [('"', '"'), ('“', '”'), ('\'', '\''), ('`', '`')] {
        let inner = text.strip_prefix(open).and_then(|t| t.strip_suffix(close));
        // Quotes inside mean that the outer two need not be a pair.
        if let Some(inner) = inner.filter(|t| !t.contains([open, close])) {
            return inner.trim();
        }
    }
    text
}

/// Without a label of up to four words that says that instructions follow. Other words before a
/// colon may be part of what is said.
fn unlabelled(text: &str) -> &str {
    const LABELS: [&str; 7] =
        ["instruction", "instructions", "prompt", "answer", "rules", "summary", "description"];
    let Some((label, rest)) = text.split_once(':') else { return text };
    let words: Vec<String> = label
        .split_whitespace()
        .map(|w| w.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase())
        .collect();
    let is_label = words.len() <= 4 && words.last().is_some_and(|w| LABELS.contains(&w.as_str()));
    let rest = rest.trim_start_matches('*').trim();
    if is_label && !rest.is_empty() { rest } else { text }
}

#[cfg(test)]
mod tests {
    use teleprompt_core::record;

    use super::*;

    #[test]
    fn answers_lose_their_trimmings_and_nothing_else() {
        let same = "Classify the text: is it alpha or beta?";
        assert_eq!(tidy(same), same);
        assert_eq!(tidy("\"Say \"a\" or \"b\""), "\"Say \"a\" or \"b\"");
        for trimmed in [
            "Proposed instructions: Say a.",
            "**New Instruction:** \"Say a.\"",
            "```text\nSay a.\n```",
            "“Say a.”",
            "  `Say a.` ",
            "Instructions:\nPrompt: Say a.",
        ] {
            assert_eq!(tidy(trimmed), "Say a.", "{trimmed}");
        }
        assert_eq!(tidy("Instructions:"), "Instructions:");
        assert_eq!(tidy("``````"), "");
    }

    #[test]
    fn examples_are_shown_field_by_field_and_not_at_any_length() {
        let long = "é".repeat(SHOWN + 1);
        let records = [record! { text: "one", n: [1, 2] }, record! { text: long }];
        let text = shown(&records);
        assert!(
            text.starts_with("Example 1\ntext: one\nn: [1, 2]\n\nExample 2\ntext: éé"),
            "{text}"
        );
        assert_eq!(text.chars().filter(|c| *c == 'é').count(), SHOWN);
        assert!(text.ends_with('…'));
    }
}
