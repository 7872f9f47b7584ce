//! The README's example is the one that is compiled.

#[test]
fn the_readme_shows_the_example() {
    let readme = include_str!("../../../README.md");
    let example = include_str!("../examples/sort.rs");
    let code = example.split_once("\n\n").map_or("", |(_, code)| code);
    assert!(code.contains("fn main") && readme.contains(code));
}
