use teleprompt::Signature;

#[derive(Signature)]
struct Tuple(#[input] String, #[output] String);

#[derive(Signature)]
struct Unit;

#[derive(Signature)]
enum Choice {
    Yes,
    No,
}

#[derive(Signature)]
struct Generic<T> {
    #[output]
    answer: T,
}

fn main() {}
