//! A field type without `JsonSchema` is an error at the field.
use teleprompt::Signature;
use teleprompt::serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(crate = "teleprompt::serde")]
struct Person {
    name: String,
}

#[derive(Signature)]
struct Find {
    #[output]
    person: Person,
}

fn main() {}
