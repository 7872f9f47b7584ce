//! Rules induced from examples.

use teleprompt_core::{Record, Result};

use super::words::{ask_with_examples, text_of, writer};
use crate::optimize::{Question, Task};

/// Has the LM say, in at most `n` rules, what decides the outputs of a predictor in these examples;
/// none, with a remark, if it said nothing usable. `number` tells several inductions from the same
/// examples apart. Examples that do not fit the LM's window are left out, the last first.
///
/// Source: InferRules of DSPy, whose rules come from labelled examples alone.
///
/// # Errors
/// Those of [`Task::ask`].
pub async fn induce_rules(
    task: &Task<'_>,
    predictor: usize,
    examples: &[Record],
    n: usize,
    number: u64,
    temperature: f64,
) -> Result<Option<String>> {
    let Some((path, signature)) = task.predictors.get(predictor).filter(|_| n > 0) else {
        return Ok(None);
    };
    if examples.is_empty() {
        return Ok(None);
    }
    let instructions = format!(
        "Find the rules that decide the right outputs in the examples. Write at most {n}, each a \
         short sentence on a line of its own that says what to do with which inputs. They must hold \
         for inputs that are not among the examples, too."
    );
    let inputs = [
        ("step", "inputs -> outputs"),
        ("task", "what the step is told to do"),
        ("examples", "inputs with the right outputs"),
    ];
    let known = |(name, _): &&(&str, &str)| *name != "task" || !signature.instructions().is_empty();
    let inputs: Vec<_> = inputs.iter().filter(known).copied().collect();
    let program = writer(&instructions, &inputs, ("rules", "one a line"))?;
    let mut given = Record::new();
    given.insert("step", signature.with_instructions("").to_string());
    if !signature.instructions().is_empty() {
        given.insert("task", signature.instructions());
    }
    let what = format!("rules for {path}");
    let question = Question::new(&what, &program, given).sampled(number, temperature);
    let asked = ask_with_examples(task, question, examples).await?;
    let rules = text_of(task, &what, &asked, "rules")?.map(|text| listed(&text, n));
    Ok(rules.filter(|rules| !rules.is_empty()))
}

/// The first `n` different rules, each on a line behind a dash.
fn listed(text: &str, n: usize) -> String {
    let mut rules: Vec<&str> = Vec::new();
    for line in text.lines() {
        let rule = unnumbered(line.trim());
        if !rule.is_empty() && !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules.truncate(n);
    rules.iter().map(|rule| format!("- {rule}")).collect::<Vec<_>>().join("\n")
}

/// Without a bullet or number at the beginning. `3 apples` stays as it is.
fn unnumbered(line: &str) -> &str {
    let bare = line.trim_start_matches(['-', '*', '•', '#']).trim_start();
    let digits = bare.trim_start_matches(|c: char| c.is_ascii_digit());
    match digits.strip_prefix(['.', ')']) {
        Some(rest) if digits.len() < bare.len() => rest.trim_start(),
        _ => bare,
    }
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn rules_are_lines_without_numbers_and_no_more_than_wanted() {
        let text = "1. Say a.\n\n 2) Say b.\n- Say a.\n• 3 apples are many\n* Say c.";
        assert_eq!(listed(text, 3), "- Say a.\n- Say b.\n- 3 apples are many");
        assert_eq!(listed(" \n- \n", 3), "");
    }
}
