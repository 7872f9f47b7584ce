//! What is wrong with a signature text is shown with carets under it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use teleprompt_core::Signature;

/// The text, the marked part by column and width in characters, a part of the message, a part of
/// the help (empty: there is none).
type Case = (&'static str, usize, usize, &'static str, &'static str);

const CASES: &[Case] = &[
    // The parts of a signature.
    ("", 0, 1, "expected a field name, found the end", ""),
    ("question", 8, 1, "expected `->`, `,` or `:`, found the end", "`question -> answer: int`"),
    ("question answer", 9, 6, "expected `->`, `,` or `:`, found `answer`", "inputs -> outputs"),
    ("question ->", 11, 1, "expected an output field, found the end", "name at least one"),
    ("->", 2, 1, "expected an output field", "name at least one"),
    ("question -> , answer", 12, 1, "expected a field name, found `,`", ""),
    ("question, -> answer", 10, 2, "expected a field name, found `->`", ""),
    ("a -> b,", 7, 1, "expected a field name, found the end", ""),
    ("a -> b -> c", 7, 2, "expected nothing more after the outputs, found `->`", ""),
    ("a -> b c", 7, 1, "expected nothing more after the outputs, found `c`", ""),
    ("a, a -> b", 3, 1, "the field `a` is there twice", "its own name"),
    ("question -> question", 12, 8, "the field `question` is there twice", "its own name"),
    ("1st -> b", 0, 3, "`1st` is no number", ""),
    ("\"ask\" \"again\" a -> b", 6, 7, "expected a field name, found a quoted text", ""),
    // Tokens.
    ("a -> b; c", 6, 1, "`;` has no meaning in a signature", ""),
    ("größe → maß: int$", 16, 1, "`$` has no meaning", ""),
    ("a -> b \"often", 7, 6, "this text is not closed", ""),
    ("a -> b 'it\\q'", 7, 6, "an escape that JSON does not know", ""),
    ("a -> b: int(0..1.2.3)", 15, 5, "`1.2.3` is no number", ""),
    ("a -> b: int(01..5)", 12, 2, "`01` is no number", ""),
    ("a -> b: float(..1e999)", 16, 5, "`1e999` is no number", ""),
    // Types.
    ("a -> b:", 7, 1, "expected a type, found the end", "for example `str`"),
    ("a -> b: strr", 8, 4, "there is no type `strr`", "did you mean `str`?"),
    ("a: lst[int] -> b", 3, 3, "there is no type `lst`", "did you mean `list`?"),
    ("a -> b: Person", 8, 6, "there is no type `Person`", "where Person = {…}"),
    ("a -> b: list[int", 16, 1, "expected `]`, found the end", ""),
    ("a -> b: list[]", 13, 1, "expected a type, found `]`", ""),
    ("a -> b: list[int, str]", 16, 1, "expected `]`, found `,`", ""),
    ("a -> b: dict[int, str]", 12, 1, "a dict has text keys", "`dict[str, int]`"),
    ("a -> b: dict[str, int, int]", 12, 1, "a dict has text keys", "`dict[str, int]`"),
    ("a -> b: tuple", 13, 1, "expected `[`, found the end", ""),
    ("a -> b: tuple[]", 14, 1, "expected a type, found `]`", ""),
    ("a -> b: optional", 16, 1, "expected `[`", "`optional[int]` or `int?`"),
    ("a -> b: int | ", 14, 1, "expected a type, found the end", ""),
    ("a -> b: (int | str", 18, 1, "expected `)`, found the end", ""),
    ("a -> b: None", 8, 4, "`None` is no type", "write `int?`"),
    ("a -> b: str | null", 14, 4, "`null` is no type", "write `int?`"),
    ("a -> b: enum[]", 13, 1, "expected a value of the enum, found `]`", ""),
    ("a -> b: literal[x, y, x]", 22, 1, "\"x\" is there twice", ""),
    ("a -> b: enum[[1]]", 13, 1, "expected a value of the enum, found `[`", ""),
    ("a -> b: {name: str", 18, 1, "expected `,` or `}`, found the end", ""),
    ("a -> b: {name str}", 14, 3, "expected `,` or `}`, found `str`", ""),
    ("a -> b: {: str}", 9, 1, "expected a field name or `}`, found `:`", ""),
    ("a -> b: {\"\": str}", 9, 2, "expected a field name or `}`, found a quoted text", ""),
    ("a -> b: {x: int, x: str}", 17, 1, "`x` is there twice", ""),
    // Constraints.
    ("a -> b: int()", 12, 1, "expected a range, `len`, `pattern` or `in`", "`int(0..10)`"),
    ("a -> b: int(0..10", 17, 1, "expected `)`, found the end", ""),
    ("a -> b: int(..)", 14, 1, "expected a number, found `)`", ""),
    ("a -> b: int(10..0)", 12, 5, "the range 10..0 is empty", ""),
    ("a -> b: bool(0..1)", 8, 10, "`bool` takes no range: only int and float do", ""),
    ("a -> b: int?(0..1)", 8, 10, "`int?` takes no range", ""),
    ("a -> b: int(len 3)", 8, 10, "`int` takes no length", ""),
    ("a -> b: str(len -1..3)", 16, 2, "a length is a whole number, 0 or more", ""),
    ("a -> b: str(len 3..1)", 16, 4, "the range 3..1 is empty", ""),
    ("a -> b: int(pattern \"x\")", 8, 16, "`int` takes no pattern", ""),
    ("a -> b: str(pattern x)", 20, 1, "expected a pattern in quotes, found `x`", ""),
    ("a -> b: str(pattern \"[a\")", 20, 4, "this pattern is wrong: unclosed", ""),
    ("a -> b: date(in [x])", 8, 12, "`date` takes no `in`", ""),
    ("a -> b: int(in [1, x])", 8, 14, "\"x\" is no int", ""),
    ("a -> b: int(0..5, 1..6)", 18, 1, "the range is there twice", "each limit once"),
    ("a -> b: int(0..5)(in [1])", 8, 17, "`int(0..5)` has constraints already", ""),
    // Definitions.
    ("a -> b where", 12, 1, "expected the name of a type, found the end", ""),
    ("a -> b where N {x}", 15, 1, "expected `=`, found `{`", ""),
    ("a -> b where int = str", 13, 3, "`int` is a word of its own", "such as `Node`"),
    ("a -> b where string = int", 13, 6, "`string` is a word of its own", "such as `Node`"),
    ("a -> b where N = int, N = str", 22, 1, "`N` is defined twice", ""),
    ("a -> b: Nod where Node = int", 8, 3, "there is no type `Nod`", "did you mean `Node`?"),
    (
        "a -> b: N where N = N?",
        16,
        1,
        "the type `N` is defined only by itself",
        "`Node = {next: Node?}`",
    ),
    (
        "a -> b: A where A = B | int, B = A",
        16,
        1,
        "the type `A` is defined only by itself",
        "`Node = {next: Node?}`",
    ),
    ("a -> b where N = int c", 21, 1, "expected nothing more after", ""),
    // Places in several lines and beside wide characters.
    ("question\n -> answer:\n   strr", 3, 4, "there is no type `strr`", ""),
    ("\tquestion -> é: strr", 16, 4, "there is no type `strr`", ""),
];

/// Column and width of the carets, from the printed error.
fn carets(error: &str) -> Option<(usize, usize)> {
    let line = error.lines().find(|l| l.contains('^') && l.trim().chars().all(|c| c == '^'))?;
    let line = line.strip_prefix("  ")?;
    let width = line.chars().filter(|c| *c == '^').count();
    Some((line.chars().take_while(|c| *c != '^').count(), width))
}

#[test]
fn every_mistake_is_marked_and_named() {
    let mut wrong = Vec::new();
    for (text, column, width, message, help) in CASES {
        let Err(error) = text.parse::<Signature>() else {
            wrong.push(format!("{text:?} parses"));
            continue;
        };
        let shown = error.to_string();
        let place = match text.is_empty() {
            true => Some((*column, *width)),
            false => carets(&shown),
        };
        let fits = error.message.contains(message) && error.help.contains(help);
        if place != Some((*column, *width)) || !fits {
            wrong.push(format!("{text:?}: {place:?}\n{shown}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n\n"));
}

#[test]
fn an_error_shows_the_line_the_carets_and_the_help() {
    let error = "question\n-> answer: flot".parse::<Signature>().unwrap_err();
    let shown =
        "there is no type `flot`\n  -> answer: flot\n             ^^^^\n  did you mean `float`?";
    assert_eq!(error.to_string(), shown);
}

#[test]
fn nesting_has_a_limit_instead_of_a_crash() {
    let nested = |n: usize| format!("-> a: {}int{}", "list[".repeat(n), "]".repeat(n));
    let deepest = nested(63).parse::<Signature>().unwrap();
    assert_eq!(deepest.to_string().parse(), Ok(deepest));
    for text in [
        nested(64),
        nested(100_000),
        "(".repeat(100_000),
        "-> a: ".to_owned() + &"{a:".repeat(9999),
    ] {
        let text = if text.starts_with('-') { text } else { format!("-> a: {text}") };
        let error = text.parse::<Signature>().unwrap_err();
        assert!(error.message.contains("nested more than 64 deep"), "{}", error.message);
    }
}
