//! The derives of Teleprompt. Use them through the crate `teleprompt`, where they are documented
//! with examples.

mod attributes;
mod module;
mod signature;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct with `#[input]` and `#[output]` fields a signature with typed inputs and outputs.
///
/// For a struct `Answer` it writes
/// - `AnswerInput` and `AnswerOutput`: structs with the fields so marked, which are as visible as
///   `Answer` (a field with a visibility of its own keeps it) and derive `Clone`, `Debug`, serde's
///   `Serialize` and `Deserialize`, and schemars' `JsonSchema`;
/// - the implementation of `teleprompt::TypedSignature` for `Answer`, so that `Predict<Answer>`
///   and `ChainOfThought<Answer>` take and give them.
///
/// Doc comments say what the LM reads: the struct's are the instructions, a field's its
/// description. Lines of a paragraph are joined; paragraphs stay apart.
///
/// Field types are any that serde and schemars know: texts, numbers, `bool`, `Vec`, `Option`,
/// maps, tuples, `teleprompt::Date`, and your own structs and enums with
/// `#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug)]`, recursive ones through `Box` or
/// `Vec`. `#[schemars(range(min = 0, max = 10))]`, `#[schemars(length(min = 1))]` and
/// `#[schemars(regex(pattern = "…"))]` on a field become constraints of its type. `#[serde(…)]` and
/// `#[schemars(…)]` on fields are handed on.
///
/// `#[signature(derive(PartialEq))]` on the struct adds derives to both generated structs.
#[proc_macro_derive(Signature, attributes(input, output, signature, serde, schemars))]
pub fn derive_signature(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    signature::expand(&item).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Writes `teleprompt::Predictors` for a struct or enum: every field is visited in order, of an
/// enum those of the variant at hand, so that compilers find all predictors at any depth.
///
/// Paths are made of field names, `0`, `1`, … for fields without names, `[i]` for elements of
/// sequences and `[key]` for entries of maps: `hop[1].generate_query`. A field of a type of your own
/// that holds no predictors is left out by `#[module(skip)]`.
#[proc_macro_derive(Module, attributes(module))]
pub fn derive_module(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    module::expand(&item).unwrap_or_else(syn::Error::into_compile_error).into()
}
