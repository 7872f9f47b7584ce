use teleprompt::Signature;

#[derive(Signature)]
struct Ask {
    #[input]
    question: String,
}

fn main() {}
