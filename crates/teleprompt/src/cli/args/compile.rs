//! The arguments of `teleprompt compile` and `optimizers`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use teleprompt_core::{Limits, Money};

#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  teleprompt compile 'text -> intent: enum[\"refund\", \"parcel\"]' --train train.jsonl \\
      --metric exact_match --optimizer labeled_few_shot --set k=8 -o intent.json
  teleprompt compile qa.toml --train train.jsonl --metric f1 --optimizer random_search \\
      --max-calls 2000 --stop-at-score 0.95
  teleprompt compile qa.json --train train.jsonl --metric f1 --optimizer random_search \\
      --lm-choice openai:gpt-5-nano --objective cost --margin 0.01
  teleprompt optimizers

What a compile may take is told before it starts; where that is money, it asks (--yes, or a limit by
--max-cost, is a yes). A compile is a study: stop it with Ctrl-C, and the same command, or
`teleprompt studies resume NAME`, goes on where it stopped.")]
pub(in crate::cli) struct CompileArgs {
    /// A signature, a saved program (.json) or a pipeline file (.toml)
    pub program: String,
    /// Examples that demonstrations are made of: JSONL, JSON or CSV
    #[arg(long, value_name = "DATA")]
    pub train: String,
    /// Examples that candidates are chosen by [default: a third of the train examples]
    #[arg(long, value_name = "DATA")]
    pub val: Option<String>,
    /// Examples that the result is measured on [default: some are held back]
    #[arg(long, value_name = "DATA")]
    pub test: Option<String>,
    /// NAME[:FIELD]: exact_match, f1, contains, number_equality, passage_match, …
    #[arg(long, value_name = "NAME[:FIELD]")]
    pub metric: String,
    /// Its name, such as labeled_few_shot; `help` lists them all
    #[arg(long, value_name = "NAME")]
    pub optimizer: String,
    /// A setting of the optimizer
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// Take an input from a column of another name
    #[arg(long, value_name = "INPUT=COLUMN")]
    pub map: Vec<String>,
    /// Another program whose accepted runs become demonstrations
    #[arg(long, value_name = "PROGRAM")]
    pub teacher: Option<String>,
    /// Another LM for the teacher
    #[arg(long, value_name = "LM")]
    pub teacher_lm: Option<String>,
    /// Another LM to write instructions, rules and feedback, for optimizers that do
    #[arg(long, value_name = "LM")]
    pub prompt_lm: Option<String>,
    /// An LM that predictors may use: after the search each is tried with each of them
    #[arg(long, value_name = "LM")]
    pub lm_choice: Vec<String>,
    /// What the winner is chosen by
    #[arg(long, value_enum, default_value_t = ObjectiveKind::Quality)]
    pub objective: ObjectiveKind,
    /// Score that may be given up for cost or latency, in the metric's units [default: 0.02]
    #[arg(long, value_name = "SCORE", value_parser = at_least_0)]
    pub margin: Option<f64>,
    #[command(flatten)]
    pub stops: StopArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Start without asking, also where it costs money
    #[arg(short, long)]
    pub yes: bool,
    /// The study's name [default: made from what is compiled]
    #[arg(long, value_name = "NAME")]
    pub study: Option<String>,
    /// Where the study is about something else: go on from it under a new name
    #[arg(long)]
    pub fork: bool,
    /// Where to save the compiled program [default: in the study's folder]
    #[arg(short, long, value_name = "OUT.json")]
    pub output: Option<String>,
}

/// What the winner is chosen by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ObjectiveKind {
    /// The best score
    #[default]
    Quality,
    /// The cheapest whose score is within --margin of the best
    Cost,
    /// The quickest whose score is within --margin of the best
    Latency,
}

/// When a search ends before it is through.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct StopArgs {
    /// End the search at this mean validation score
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, value_parser = finite)]
    pub stop_at_score: Option<f64>,
    /// End the search after N candidates in a row that were no better
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub stop_without_improvement: Option<u32>,
    /// End the search when this file exists
    #[arg(long, value_name = "FILE")]
    pub stop_file: Option<String>,
}

/// Limits of what the LM calls may use. Calls that are answered never exceed one.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(in crate::cli) struct LimitArgs {
    /// Most LM calls, of a whole study where there is one (answers from the cache are free)
    #[arg(long, value_name = "N")]
    pub max_calls: Option<u64>,
    /// Most tokens, prompts and completions together; needs --max-tokens where the LM tells no limit
    #[arg(long, value_name = "N")]
    pub max_tokens_total: Option<u64>,
    /// Most dollars; needs an LM whose price is known, and --max-tokens likewise
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    pub max_cost: Option<f64>,
    /// Most seconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_seconds: Option<u64>,
}

impl StopArgs {
    /// These where given, else those of `others`.
    pub fn or(self, others: Self) -> Self {
        Self {
            stop_at_score: self.stop_at_score.or(others.stop_at_score),
            stop_without_improvement: self
                .stop_without_improvement
                .or(others.stop_without_improvement),
            stop_file: self.stop_file.or(others.stop_file),
        }
    }
}

impl LimitArgs {
    /// These where given, else those of `others`.
    pub fn or(self, others: Self) -> Self {
        Self {
            max_calls: self.max_calls.or(others.max_calls),
            max_tokens_total: self.max_tokens_total.or(others.max_tokens_total),
            max_cost: self.max_cost.or(others.max_cost),
            max_seconds: self.max_seconds.or(others.max_seconds),
        }
    }

    /// As limits of a meter.
    pub fn limits(&self) -> Limits {
        Limits {
            calls: self.max_calls,
            tokens: self.max_tokens_total,
            cost: self.max_cost.map(Money::dollars),
            time: self.max_seconds.map(Duration::from_secs),
        }
    }
}

fn finite(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|n: &f64| n.is_finite()).ok_or_else(|| "must be a number".into())
}

fn at_least_0(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(n) if f64::is_finite(n) && n >= 0.0 => Ok(n),
        _ => Err("must be a number of 0 or more".into()),
    }
}

fn dollars(text: &str) -> Result<f64, String> {
    let amount: f64 =
        text.trim_start_matches('$').parse().map_err(|_| "not an amount in dollars")?;
    if amount.is_finite() && amount >= 0.0 { Ok(amount) } else { Err("must be 0 or more".into()) }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  teleprompt optimizers
  teleprompt optimizers random_search
  teleprompt optimizers --json")]
pub(in crate::cli) struct OptimizersArgs {
    /// Only this one
    pub name: Option<String>,
}
