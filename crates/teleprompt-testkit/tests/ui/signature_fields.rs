//! Every mistake in the fields is shown at once.
use teleprompt::Signature;

#[derive(Signature)]
struct Marks {
    question: String,
    #[input]
    #[output]
    both: String,
    #[output(desc = "the answer")]
    answer: String,
    #[output]
    #[serde(skip)]
    hidden: String,
    #[output]
    #[serde(rename = "first-name")]
    name: String,
    #[output]
    first: String,
    #[output]
    #[serde(rename = "first")]
    second: String,
}

fn main() {}
