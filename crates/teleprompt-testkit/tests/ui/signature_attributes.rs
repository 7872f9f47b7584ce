use teleprompt::Signature;

#[derive(Signature)]
#[signature(instructions = "Answer.")]
struct Told {
    #[output]
    answer: String,
}

#[derive(Signature)]
#[serde(rename_all = "camelCase")]
struct Renamed {
    #[output]
    the_answer: String,
}

fn main() {}
