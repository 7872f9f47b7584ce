//! The arguments of `teleprompt studies`.

use clap::{Args, Subcommand, ValueEnum};

use super::{LimitArgs, StopArgs};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  teleprompt studies list
  teleprompt studies show intents
  teleprompt studies show intents --candidate 3f9c
  teleprompt studies resume intents --max-calls 5000
  teleprompt studies export intents -o scores.csv
  teleprompt studies export intents --program -o intents.json
  teleprompt studies rm intents

Studies are kept in .teleprompt/studies, or in $TELEPROMPT_STUDIES_DIR.")]
pub(in crate::cli) struct StudiesArgs {
    #[command(subcommand)]
    pub action: StudiesAction,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum StudiesAction {
    /// All studies: optimizer, state, scores, calls
    List,
    /// What a study is about, its candidates, what was spent
    Show {
        /// Its name
        name: String,
        /// A candidate's parameters and what was asked to make it; the beginning of its hash is enough
        #[arg(long, value_name = "HASH")]
        candidate: Option<String>,
    },
    /// Run the same compile again: it goes on where it stopped
    Resume(Box<ResumeArgs>),
    /// All scores as CSV or JSON lines, the matrix of scores, or the winner's program
    Export(ExportArgs),
    /// Delete a study
    Rm {
        /// Its name
        name: String,
        /// Without asking
        #[arg(short, long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ResumeArgs {
    /// The study's name
    pub name: String,
    /// In place of the limits that it had
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub stops: StopArgs,
    /// Start without asking, also where it costs money
    #[arg(short, long)]
    pub yes: bool,
    /// Where to save the compiled program [default: as before]
    #[arg(short, long, value_name = "OUT.json")]
    pub output: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  teleprompt studies export intents > scores.jsonl
  teleprompt studies export intents -o scores.csv
  teleprompt studies export intents --matrix -o matrix.json
  teleprompt studies export intents --program -o intents.json")]
pub(in crate::cli) struct ExportArgs {
    /// The study's name
    pub name: String,
    /// The form of the scores [default: by the file's name, else jsonl]
    #[arg(long, value_enum)]
    pub format: Option<ScoreFormat>,
    /// The scores of all candidates on the validation examples, as one JSON object
    #[arg(long, conflicts_with_all = ["format", "program"])]
    pub matrix: bool,
    /// The program with the winner's parameters, or with those of --candidate
    #[arg(long, conflicts_with = "format")]
    pub program: bool,
    /// With --program: this candidate; the beginning of its hash is enough
    #[arg(long, value_name = "HASH", requires = "program")]
    pub candidate: Option<String>,
    /// Where to write: scores to a .csv or .jsonl file [default: stdout], --program to OUT.json
    /// (required there)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<String>,
}

/// The form of exported scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ScoreFormat {
    /// A table with a header
    Csv,
    /// A JSON object a line
    Jsonl,
}
