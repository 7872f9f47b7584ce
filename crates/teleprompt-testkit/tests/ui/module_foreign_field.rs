//! A field of a type that cannot be searched, without `#[module(skip)]`.
use teleprompt::Module;

struct Client;

#[derive(Module)]
struct Rag {
    k: usize,
    clients: Vec<Client>,
}

fn main() {}
