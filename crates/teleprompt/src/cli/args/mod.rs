//! The command line.

mod compile;
mod studies;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use compile::{CompileArgs, LimitArgs, ObjectiveKind, OptimizersArgs, StopArgs};
pub(super) use studies::{ExportArgs, ResumeArgs, ScoreFormat, StudiesAction, StudiesArgs};

/// Declare what each step must do, give examples and a metric, and let the compiler make the
/// program good on the language model you have.
#[derive(Debug, Parser)]
#[command(name = "teleprompt", version, max_term_width = 100, after_help = EXAMPLES)]
pub(super) struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  teleprompt quickstart
  teleprompt run 'question -> answer' question='What is the capital of France?'
  teleprompt eval 'text -> intent: enum[\"refund\", \"parcel\"]' dev.jsonl --metric exact_match
  teleprompt compile 'text -> intent' --train train.jsonl --metric exact_match \\
      --optimizer labeled_few_shot -o intent.json
  teleprompt run intent.json text='where is my parcel?'

PROGRAM is a signature (contains ->), a saved program (.json) or a pipeline file (.toml).
Exit codes: 0 well, 1 the work failed, 2 wrong usage.";

/// Flags that every command takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Everywhere")]
pub(super) struct Common {
    /// The LM: local:smollm2-135m, local:FILE.gguf, openai:MODEL, ollama:MODEL@http://HOST/v1…
    /// (`teleprompt lm list` has all)
    /// [default: $TELEPROMPT_LM, else the configuration, else local:smollm2-135m]
    #[arg(long, global = true, value_name = "LM")]
    pub lm: Option<String>,
    /// What to make of a signature
    #[arg(long, global = true, value_enum)]
    pub module: Option<ModuleKind>,
    /// The form of prompts and replies: chat or json [default: chat]
    #[arg(long, global = true, value_name = "NAME")]
    pub adapter: Option<String>,
    /// Instructions in place of the program's (@FILE reads them from a file)
    #[arg(long, global = true, value_name = "TEXT|@FILE")]
    pub instructions: Option<String>,
    /// A signature that supplies names and types to a saved program
    #[arg(long, global = true, value_name = "TEXT")]
    pub signature: Option<String>,
    /// Sampling temperature; 0 is greedy
    #[arg(long, global = true, value_name = "T", allow_negative_numbers = true)]
    pub temperature: Option<f32>,
    /// Most tokens of a reply
    #[arg(long, global = true, value_name = "N")]
    pub max_tokens: Option<u32>,
    /// Seed of everything random [default: 0]
    #[arg(long, global = true, value_name = "N")]
    pub seed: Option<u64>,
    /// Examples run at the same time [default: 1 for local LMs, else 8]
    #[arg(long, global = true, value_name = "N")]
    pub concurrency: Option<usize>,
    /// Print one JSON object on stdout; everything else goes to stderr
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress, no notes
    #[arg(long, global = true)]
    pub quiet: bool,
    /// A further LM, for predictors that name one, as those of a program compiled with --lm-choice do
    #[arg(long, global = true, value_name = "LM")]
    pub also_lm: Vec<String>,
    /// A saved state for a program written in Rust
    #[arg(long, global = true, value_name = "FILE.json", hide = true)]
    pub state: Option<String>,
}

/// What to make of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ModuleKind {
    /// Answer at once
    Predict,
    /// Reason first, then answer (chain of thought)
    Cot,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check a signature: its canonical text and fields, or the mistake with a caret
    Signature(SignatureArgs),
    /// Run a program once
    Run(RunArgs),
    /// Show the exact messages of a call, calling nothing
    Render(RenderArgs),
    /// Read a reply on stdin as the program would
    Parse(ParseArgs),
    /// Score a program on data, with a confidence interval
    Eval(EvalArgs),
    /// Find the instructions and demonstrations that make a program good on your LM
    Compile(Box<CompileArgs>),
    /// The optimizers with their settings
    Optimizers(OptimizersArgs),
    /// Compiles that were made: list, show, go on, export, remove
    Studies(StudiesArgs),
    /// What a program is: predictors, instructions, demonstrations
    Show(ShowArgs),
    /// What compiling changed between two programs
    Diff(DiffArgs),
    /// Language models: the providers that are known, what stands behind a name
    Lm(LmArgs),
    /// Model files: list, pull, path
    Models(ModelsArgs),
    /// The cache of replies
    Cache(CacheArgs),
    /// The last LM calls of this command: prompts and replies as they were
    History(HistoryArgs),
    /// Watch a program get better on the LM inside this binary
    Quickstart(QuickstartArgs),
}

#[derive(Debug, Args)]
pub(super) struct SignatureArgs {
    /// For example 'question, context: list[str] -> answer: int(0..10)'
    pub text: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  teleprompt run 'question -> answer' question='6 x 7?'
  teleprompt run qa.json question=@question.txt --json
  echo '{\"question\": \"6 x 7?\"}' | teleprompt run 'question -> answer: int'")]
pub(super) struct RunArgs {
    /// A signature, a saved program (.json) or a pipeline file (.toml)
    pub program: String,
    /// Inputs as name=value; name=@FILE reads a file. Without any, a JSON object on stdin
    #[arg(value_name = "NAME=VALUE")]
    pub inputs: Vec<String>,
    /// Completions wanted
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub n: u32,
    /// Print fields while they come; with --json, one event a line
    #[arg(long)]
    pub stream: bool,
}

#[derive(Debug, Args)]
pub(super) struct RenderArgs {
    /// A signature, a saved program (.json) or a pipeline file (.toml)
    pub program: String,
    /// Inputs as name=value; name=@FILE reads a file. Without any, a JSON object on stdin
    #[arg(value_name = "NAME=VALUE")]
    pub inputs: Vec<String>,
    /// The request as a curl command for the LM in force, the key left as its variable
    #[arg(long)]
    pub curl: bool,
}

#[derive(Debug, Args)]
pub(super) struct ParseArgs {
    /// The signature that the reply should fit
    pub signature_text: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  teleprompt eval 'question -> answer' dev.jsonl --metric exact_match:answer
  teleprompt eval qa.json dev.csv --metric f1 --map question=Q --limit 50 --out rows.csv
  teleprompt eval tuned.json dev.jsonl --metric exact_match --compare plain.json --json")]
pub(super) struct EvalArgs {
    /// A signature, a saved program (.json) or a pipeline file (.toml)
    pub program: String,
    /// JSONL, JSON or CSV; an input is a column named like an input field
    pub data: String,
    /// NAME[:FIELD]: exact_match, f1, contains, number_equality, passage_match, …
    #[arg(long, value_name = "NAME[:FIELD]")]
    pub metric: String,
    /// Only the first N examples
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Take an input from a column of another name
    #[arg(long, value_name = "INPUT=COLUMN")]
    pub map: Vec<String>,
    /// Write a row an example: .jsonl, .json or .csv
    #[arg(long, value_name = "FILE")]
    pub out: Option<String>,
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Another program on the same examples, with a paired test
    #[arg(long, value_name = "PROGRAM2")]
    pub compare: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// A signature, a saved program (.json) or a pipeline file (.toml)
    pub program: String,
}

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The program before
    pub a: String,
    /// The program after
    pub b: String,
}

#[derive(Debug, Args)]
pub(super) struct LmArgs {
    #[command(subcommand)]
    pub action: LmAction,
}

#[derive(Debug, Subcommand)]
pub(super) enum LmAction {
    /// The providers: scheme, address, protocol, key, where it is defined
    List,
    /// The layers, the server, the key and the abilities of an LM, calling nothing
    Show {
        /// Its name [default: the LM in force]
        #[arg(value_name = "LM")]
        name: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    pub action: ModelsAction,
}

#[derive(Debug, Subcommand)]
pub(super) enum ModelsAction {
    /// Models that are known or here, with size and licence
    List,
    /// Fetch a model: smollm2-135m, or hf:owner/repo/file.gguf[@revision]
    Pull {
        /// The model's name
        name: String,
    },
    /// Where a model's file is
    Path {
        /// The model's name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    pub action: CacheAction,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum CacheAction {
    /// Entries, bytes, and the most bytes that are kept ($TELEPROMPT_CACHE_BYTES)
    Stats,
    /// Delete all entries
    Clear,
    /// Delete the entries that were not used for the longest time
    Prune {
        /// Keep at most this much, such as 500MB or 1GiB
        #[arg(long, value_name = "BYTES")]
        to: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "The calls are kept in history.jsonl in the cache folder, at most 8 MiB.
TELEPROMPT_NO_HISTORY=1 keeps none.")]
pub(super) struct HistoryArgs {
    /// How many calls
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    pub n: usize,
    /// Forget all calls
    #[arg(long)]
    pub clear: bool,
}

#[derive(Debug, Args)]
pub(super) struct QuickstartArgs {
    /// Where to save the compiled program
    #[arg(short, long, value_name = "OUT.json", default_value = QUICKSTART_OUTPUT)]
    pub output: String,
}

const QUICKSTART_OUTPUT: &str = "quickstart.json";

impl Default for QuickstartArgs {
    fn default() -> Self {
        Self { output: QUICKSTART_OUTPUT.into() }
    }
}
