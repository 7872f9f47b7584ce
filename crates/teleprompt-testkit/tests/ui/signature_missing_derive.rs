//! A struct that is no signature, where one is needed.
use teleprompt::TypedSignature;

struct Answer;

fn main() {
    let _ = <Answer as TypedSignature>::signature();
}
