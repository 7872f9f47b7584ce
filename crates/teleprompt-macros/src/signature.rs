//! `#[derive(Signature)]`.

use std::collections::HashSet;

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, ExprLit, Field, Fields, Ident, Lit, Meta, Path,
    Visibility,
};

use crate::attributes::{Errors, items, named};

/// The output that chain of thought puts before the others.
const REASONING: &str = "reasoning";

/// The fields of the marked struct, by role.
struct Roles<'f> {
    inputs: Vec<&'f Field>,
    outputs: Vec<&'f Field>,
    /// Whether one of them is called as chain of thought would call its own.
    reasoning: bool,
}

/// Writes the typed structs and the implementations of `Io` and `TypedSignature`.
pub fn expand(item: &DeriveInput) -> Result<TokenStream, Error> {
    let fields = named_fields(item)?;
    let mut errors = Errors::default();
    let derives = errors.take(extra_derives(&item.attrs)).unwrap_or_default();
    let roles = roles(item, fields, &mut errors);
    errors.finish()?;

    let name = &item.ident;
    let input = format_ident!("{name}Input");
    let output = format_ident!("{name}Output");
    let input_struct = typed_struct(item, &input, "Inputs", &roles.inputs, &derives);
    let output_struct = typed_struct(item, &output, "Outputs", &roles.outputs, &derives);
    let reasoned = match roles.reasoning {
        true => quote!(#output),
        false => quote!(::teleprompt::WithReasoning<#output>),
    };
    let instructions = docs(&item.attrs);
    let text = name.to_string();
    let read = fields.iter().map(|f| &f.ident);
    Ok(quote! {
        #input_struct
        #output_struct

        #[automatically_derived]
        impl ::teleprompt::Io for #name {
            type Input = #input;
            type Output = #output;
            type Reasoned = #reasoned;
        }

        #[automatically_derived]
        impl ::teleprompt::TypedSignature for #name {
            fn signature() -> ::teleprompt::Signature {
                static SIGNATURE: ::std::sync::OnceLock<::teleprompt::Signature> =
                    ::std::sync::OnceLock::new();
                SIGNATURE
                    .get_or_init(|| {
                        ::teleprompt::__private::signature::<#input, #output>(#text, #instructions)
                    })
                    .clone()
            }
        }

        // The marked struct is a declaration and never a value; without this the compiler would
        // call its fields unused.
        const _: () = {
            #[allow(dead_code)]
            fn declared(it: &#name) {
                #(let _ = &it.#read;)*
            }
        };
    })
}

fn named_fields(item: &DeriveInput) -> Result<&Fields, Error> {
    let wrong = |span: Span| {
        Error::new(span, "a signature is a struct with named fields, `#[input]` and `#[output]`")
    };
    if !item.generics.params.is_empty() {
        let message = "a signature cannot be generic: an LM needs to know the types of its fields";
        return Err(Error::new_spanned(&item.generics, message));
    }
    match &item.data {
        Data::Struct(data) => match &data.fields {
            fields @ Fields::Named(_) => Ok(fields),
            Fields::Unnamed(fields) => Err(wrong(fields.span())),
            Fields::Unit => Err(wrong(item.ident.span())),
        },
        Data::Enum(data) => Err(wrong(data.enum_token.span)),
        Data::Union(data) => Err(wrong(data.union_token.span)),
    }
}

/// The paths in `#[signature(derive(…))]`.
fn extra_derives(attrs: &[Attribute]) -> Result<Vec<Path>, Error> {
    for name in ["serde", "schemars", "input", "output"] {
        if let Some(attr) = named(attrs, name).next() {
            let message = format!("`#[{name}]` goes on a field of a signature, not on the struct");
            return Err(Error::new_spanned(attr, message));
        }
    }
    let mut derives = Vec::new();
    for attr in named(attrs, "signature") {
        for item in items(attr)? {
            match &item {
                Meta::List(list) if list.path.is_ident("derive") => {
                    let paths = list.parse_args_with(
                        syn::punctuated::Punctuated::<Path, syn::Token![,]>::parse_terminated,
                    )?;
                    derives.extend(paths);
                }
                other => {
                    let message = "`#[signature]` knows `derive(…)` only; instructions are the \
                                   struct's doc comment";
                    return Err(Error::new_spanned(other, message));
                }
            }
        }
    }
    Ok(derives)
}

fn roles<'f>(item: &DeriveInput, fields: &'f Fields, errors: &mut Errors) -> Roles<'f> {
    let mut roles = Roles { inputs: Vec::new(), outputs: Vec::new(), reasoning: false };
    let mut seen = HashSet::new();
    let mut is_wrong = false;
    for field in fields {
        let Some(is_output) = errors.take(is_output(field)) else {
            is_wrong = true;
            continue;
        };
        let Some(name) = errors.take(field_name(field)) else { continue };
        if !seen.insert(name.clone()) {
            let message = format!("there is a field `{name}` already");
            errors.push(Error::new(field.ident.span(), message));
        }
        roles.reasoning |= name == REASONING;
        if is_output { &mut roles.outputs } else { &mut roles.inputs }.push(field);
    }
    if roles.outputs.is_empty() && !is_wrong {
        let message = "a signature needs at least one output: mark a field with `#[output]`";
        errors.push(Error::new(item.ident.span(), message));
    }
    roles
}

fn is_output(field: &Field) -> Result<bool, Error> {
    let mark = |name| named(&field.attrs, name).next();
    let (input, output) = (mark("input"), mark("output"));
    for attr in [input, output].into_iter().flatten() {
        if !matches!(attr.meta, Meta::Path(_)) {
            let message = "`#[input]` and `#[output]` take no arguments: the description is the \
                           doc comment, constraints go into `#[schemars(range(min = 0, max = 9))]`";
            return Err(Error::new_spanned(attr, message));
        }
    }
    match (input, output) {
        (Some(_), None) => Ok(false),
        (None, Some(_)) => Ok(true),
        (Some(_), Some(second)) => {
            let message = "a field is an input or an output, not both; for a value that goes \
                           through, use two fields with two names";
            Err(Error::new_spanned(second, message))
        }
        (None, None) => {
            let message = "mark this field with `#[input]` or `#[output]`";
            Err(Error::new(field.ident.span(), message))
        }
    }
}

/// The field's name in the signature, which serde may have renamed.
fn field_name(field: &Field) -> Result<String, Error> {
    let ident = field.ident.as_ref().map(Ident::to_string).unwrap_or_default();
    let mut name = ident.trim_start_matches("r#").to_owned();
    for attr in named(&field.attrs, "serde").chain(named(&field.attrs, "schemars")) {
        for item in items(attr)? {
            let path = item.path();
            let leaves_out = ["flatten", "skip", "skip_serializing", "skip_deserializing"];
            if leaves_out.iter().any(|word| path.is_ident(word)) {
                let message = "a field of a signature cannot be left out or flattened";
                return Err(Error::new_spanned(item, message));
            }
            if path.is_ident("rename") {
                name = renamed(&item)?;
            }
        }
    }
    Ok(name)
}

fn renamed(item: &Meta) -> Result<String, Error> {
    let text = match item {
        Meta::NameValue(pair) => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    };
    let text = text.ok_or_else(|| {
        Error::new_spanned(item, "a field of a signature has one name: `rename = \"name\"`")
    })?;
    let is_word = text.chars().all(|c| c.is_alphanumeric() || c == '_')
        && text.chars().next().is_some_and(|c| !c.is_numeric());
    if !is_word {
        let message = "a field of a signature is named with letters, digits and `_`";
        return Err(Error::new_spanned(item, message));
    }
    Ok(text)
}

/// The generated struct for one side.
fn typed_struct(
    item: &DeriveInput,
    name: &Ident,
    side: &str,
    fields: &[&Field],
    derives: &[Path],
) -> TokenStream {
    let visibility = &item.vis;
    let doc = format!("{side} of [`{}`].", item.ident);
    let fields = fields.iter().map(|field| {
        let attrs = field.attrs.iter().filter(|a| is_handed_on(a));
        let visibility = match &field.vis {
            Visibility::Inherited => visibility,
            own => own,
        };
        let (ident, ty) = (&field.ident, &field.ty);
        // The span of the field makes a missing derive of its type an error at the field.
        let span = Span::call_site().located_at(field.ty.span());
        quote_spanned!(span=> #(#attrs)* #visibility #ident: #ty)
    });
    quote! {
        #[doc = #doc]
        #[derive(
            ::std::clone::Clone,
            ::std::fmt::Debug,
            ::teleprompt::serde::Serialize,
            ::teleprompt::serde::Deserialize,
            ::teleprompt::schemars::JsonSchema,
            #(#derives,)*
        )]
        #[serde(crate = "::teleprompt::serde")]
        #[schemars(crate = "::teleprompt::schemars")]
        #[allow(missing_docs)]
        #visibility struct #name {
            #(#fields,)*
        }
    }
}

fn is_handed_on(attr: &Attribute) -> bool {
    ["doc", "serde", "schemars", "allow", "expect", "deprecated"]
        .iter()
        .any(|name| attr.path().is_ident(name))
}

/// The lines of a doc comment.
fn docs(attrs: &[Attribute]) -> TokenStream {
    let lines = named(attrs, "doc").filter_map(|attr| match &attr.meta {
        Meta::NameValue(pair) => Some(&pair.value),
        _ => None,
    });
    // `#[doc = include_str!("…")]` is no literal, so the compiler puts the lines together.
    quote!(::std::concat!(#(#lines, "\n"),*))
}
