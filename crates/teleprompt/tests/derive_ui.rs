//! What the derives say when they are used wrongly. The messages are those of the pinned compiler.

#[test]
fn compile_errors_say_what_to_do() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
