use teleprompt::Module;

#[derive(Module)]
#[module(skip)]
struct Whole {
    k: usize,
}

#[derive(Module)]
struct Misspelt {
    #[module(skp)]
    k: usize,
}

#[derive(Module)]
union Both {
    a: u8,
    b: u16,
}

fn main() {}
