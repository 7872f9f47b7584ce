//! A field type without serde and schemars is an error at the field.
use teleprompt::Signature;

#[derive(Clone, Debug)]
struct Person;

#[derive(Signature)]
struct Find {
    #[output]
    person: Person,
}

fn main() {}
