//! The example of the README.

use teleprompt::optimize::teleprompter::LabeledFewShot;
use teleprompt::prelude::*;

/// What does the customer want?
#[derive(Signature)]
struct Sort {
    #[input]
    message: String,
    /// refund, parcel or other
    #[output]
    intent: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cx = teleprompt::connect("openai:gpt-5-mini").await?;
    let train = Dataset::load("train.jsonl")?.inputs(["message"])?;
    let compiled = LabeledFewShot::default()
        .compiler(metric::exact_match("intent"))
        .compile(&cx, &Predict::<Sort>::new(), &train)
        .await?;
    println!("{}", compiled.report); // score before and after, intervals, p-value, cost
    compiled.program.save("sort.json")
}
