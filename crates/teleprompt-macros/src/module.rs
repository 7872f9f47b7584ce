//! `#[derive(Module)]`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Field, Fields, Generics, Ident, Type, parse_quote};

use crate::attributes::{Errors, items, named};

/// Writes the implementation of `Predictors`.
pub fn expand(item: &DeriveInput) -> Result<TokenStream, Error> {
    let mut errors = Errors::default();
    refuse_outside_fields(&item.attrs, &mut errors);
    let mut visited = Vec::new();
    let body = match &item.data {
        Data::Struct(data) => struct_body(&data.fields, &mut visited, &mut errors),
        Data::Enum(data) if data.variants.is_empty() => quote!(match *self {}),
        Data::Enum(data) => {
            let arms = data.variants.iter().map(|variant| {
                refuse_outside_fields(&variant.attrs, &mut errors);
                let (pattern, body) = enum_arm(&variant.fields, &mut visited, &mut errors);
                let name = &variant.ident;
                quote!(Self::#name #pattern => { #body })
            });
            let arms: TokenStream = arms.collect();
            quote!(match self { #arms })
        }
        Data::Union(data) => {
            let message = "a union cannot be searched for predictors: use a struct or an enum";
            return Err(Error::new(data.union_token.span, message));
        }
    };
    errors.finish()?;
    let name = &item.ident;
    let generics = bounded(item, &visited);
    let (head, args, bounds) = generics.split_for_impl();
    let unused = visited.is_empty().then(|| quote!(let _ = __visit;));
    Ok(quote! {
        #[automatically_derived]
        impl #head ::teleprompt::Predictors for #name #args #bounds {
            fn visit<'__visit>(
                &'__visit self,
                __visit: &mut ::teleprompt::Visit<'__visit>,
            ) {
                #unused
                #body
            }
        }
    })
}

/// `#[module(…)]` stands on fields only.
fn refuse_outside_fields(attrs: &[Attribute], errors: &mut Errors) {
    for attr in named(attrs, "module") {
        errors.push(Error::new_spanned(attr, "`#[module(skip)]` goes on a field"));
    }
}

/// The fields to visit, each with its place and its name in paths.
fn visited_fields<'f>(fields: &'f Fields, errors: &mut Errors) -> Vec<(usize, String, &'f Field)> {
    let mut out = Vec::new();
    for (i, field) in fields.iter().enumerate() {
        let name = match &field.ident {
            Some(name) => name.to_string().trim_start_matches("r#").to_owned(),
            None => i.to_string(),
        };
        if errors.take(is_skipped(field)) == Some(false) {
            out.push((i, name, field));
        }
    }
    out
}

fn is_skipped(field: &Field) -> Result<bool, Error> {
    let mut skip = false;
    for attr in named(&field.attrs, "module") {
        for item in items(attr)? {
            if !matches!(&item, syn::Meta::Path(path) if path.is_ident("skip")) {
                let message = "`#[module]` knows `skip` only: leave the field out of the search";
                return Err(Error::new_spanned(&item, message));
            }
            skip = true;
        }
    }
    Ok(skip)
}

fn struct_body(fields: &Fields, visited: &mut Vec<Type>, errors: &mut Errors) -> TokenStream {
    let all = visited_fields(fields, errors);
    let calls = all.into_iter().map(|(i, path, field)| {
        visited.push(field.ty.clone());
        let member = match &field.ident {
            Some(name) => name.to_token_stream(),
            None => syn::Index::from(i).to_token_stream(),
        };
        let span = at(&field.ty);
        quote_spanned!(span=> __visit.field(#path, &self.#member);)
    });
    calls.collect()
}

/// The pattern that binds the visited fields of a variant, and the calls.
fn enum_arm(
    fields: &Fields,
    visited: &mut Vec<Type>,
    errors: &mut Errors,
) -> (TokenStream, TokenStream) {
    let mut bindings = TokenStream::new();
    let mut calls = TokenStream::new();
    for (i, path, field) in visited_fields(fields, errors) {
        visited.push(field.ty.clone());
        let binding: Ident = format_ident!("__part_{i}");
        let member = match &field.ident {
            Some(name) => name.to_token_stream(),
            None => syn::Index::from(i).to_token_stream(),
        };
        bindings.extend(quote!(#member: #binding,));
        let span = at(&field.ty);
        calls.extend(quote_spanned!(span=> __visit.field(#path, #binding);));
    }
    (quote!({ #bindings .. }), calls)
}

/// The place of the type, with the names of this macro.
fn at(ty: &Type) -> Span {
    Span::call_site().located_at(ty.span())
}

/// The generics with a bound for each visited type that depends on them. A type that contains
/// itself gets none: the compiler would go round in circles.
fn bounded(item: &DeriveInput, visited: &[Type]) -> Generics {
    let mut generics = item.generics.clone();
    let params: Vec<Ident> = generics.type_params().map(|p| p.ident.clone()).collect();
    let depends = visited
        .iter()
        .filter(|ty| mentions(ty, &params) && !mentions(ty, std::slice::from_ref(&item.ident)));
    let bounds: Vec<syn::WherePredicate> =
        depends.map(|ty| parse_quote!(#ty: ::teleprompt::Predictors)).collect();
    if !bounds.is_empty() {
        generics.make_where_clause().predicates.extend(bounds);
    }
    generics
}

/// Whether one of the names stands anywhere in the type.
fn mentions(ty: &Type, names: &[Ident]) -> bool {
    fn search(tokens: TokenStream, names: &[Ident]) -> bool {
        tokens.into_iter().any(|token| match token {
            proc_macro2::TokenTree::Ident(ident) => names.contains(&ident),
            proc_macro2::TokenTree::Group(group) => search(group.stream(), names),
            _ => false,
        })
    }
    search(ty.to_token_stream(), names)
}
