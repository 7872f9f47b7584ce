//! Words between us and an LM that writes: questions, and answers without their trimmings.

use teleprompt_core::{Field, Program, Result, Signature, Type};

use crate::module::Predict;

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
}
