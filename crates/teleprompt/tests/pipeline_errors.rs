//! Mistakes in pipeline files: one message with the place and what to do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use teleprompt::pipeline::Pipeline;

fn error(file: &str) -> String {
    match Pipeline::parse(file) {
        Ok(pipeline) => panic!("no error in:\n{file}\n{pipeline}"),
        Err(error) => error.to_string(),
    }
}

/// Each case: a file, and what its error contains.
fn table(cases: &[(&str, &[&str])]) {
    for (file, parts) in cases {
        let message = error(file);
        for part in *parts {
            assert!(message.contains(part), "{part:?} is not in:\n{message}\nfor\n{file}");
        }
    }
}

#[test]
fn an_error_shows_line_step_caret_and_help() {
    let file =
        "# a comment\n[[step]]\nname = \"answer\"\nsignature = \"question -> answer: strr\"\n";
    assert_eq!(
        error(file),
        "line 4: step `answer`: there is no type `strr`\n  \
         signature = \"question -> answer: strr\"\n  \
         \u{20}                                ^^^^\n  \
         did you mean `str`?"
    );
}

#[test]
fn the_file() {
    table(&[
        ("", &["the pipeline has no steps", "[[step]]"]),
        ("step = 3", &["line 1: `step` is a list of steps"]),
        ("[step]\nname = 'a'", &["`step` is a list of steps", "write `[[step]]`"]),
        ("[[step]]\nname = 'a", &["line 2: ", "^"]),
        (
            "[[steps]]\nname = 'a'",
            &["line 1: a pipeline file has no key `steps`; did you mean `step`?"],
        ),
        ("[[step]]\nsignature = 'q -> a'", &["line 1: this step has no name"]),
        ("[[step]]\nname = 3", &["line 2: `name` is a text, not a number", "put it in quotes"]),
        ("[[step]]\nname = 'a'", &["line 1: step `a`: there is no signature"]),
        (
            "[[step]]\nname = 'a'\nsignature = 'q -> a'\nwehn = 'a'",
            &[
                "line 4: step `a`: a step has no key `wehn`; did you mean `when`?\n  wehn = 'a'\n  ^^^^",
            ],
        ),
        (
            "[[step]]\nname = 'a b'\nsignature = 'q -> a'",
            &["line 2: `a b` cannot be the name of a step"],
        ),
        ("[[step]]\nname = 'not'\nsignature = 'q -> a'", &["`not` has a meaning in conditions"]),
        (
            "[[step]]\nname = 'a'\nsignature = 'q -> a'\n[[step]]\nname = 'a'\nsignature = 'q -> a'",
            &["line 5: there are two steps `a`"],
        ),
        (
            "outputs = 'a'\n[[step]]\nname = 'a'\nsignature = 'q -> a'",
            &["`outputs` is a list of texts"],
        ),
        ("outputs = []\n[[step]]\nname = 'a'\nsignature = 'q -> a'", &["`outputs` is empty"]),
    ]);
}

#[test]
fn a_step() {
    let step = |rest: &str| format!("[[step]]\nname = 'a'\n{rest}");
    for (rest, part) in [
        ("signature = 'q a'", "line 3: step `a`: expected `->`, `,` or `:`"),
        (
            "signature = 'q -> a'\nmodule = 'chain'",
            "line 4: step `a`: there is no module `chain`; there is: predict, cot",
        ),
        ("signature = 'q -> a'\nlm = ''", "step `a`: `lm` is empty"),
        (
            "signature = '\"Do.\" q -> a'\ninstructions = 'Do it.'",
            "line 4: step `a`: there are instructions in the signature and under `instructions`",
        ),
        (
            "signature = 'q -> a'\nrepeat = 0",
            "line 4: step `a`: a step is repeated a whole number of times, 1 to 1000",
        ),
        ("signature = 'q -> a'\nrepeat = 2.5", "a whole number of times"),
        ("signature = 'q -> a'\nrepeat = { until = 'a' }", "`repeat` has no `times`"),
        (
            "signature = 'q -> a'\nrepeat = { times = 2, untl = 'a' }",
            "`repeat` has no key `untl`; did you mean `until`?",
        ),
        ("signature = 'q -> a'\nwire = 'q'", "`wire` has the form"),
        (
            "signature = 'q -> a'\nwire = { p = 'q' }",
            "step `a`: wire: there is no input `p`; did you mean `q`?",
        ),
        ("signature = 'q -> a'\nwire = { q = 1 }", "the source of `q` is a text, not a number"),
        ("signature = 'q -> a'\nwire = { q = [] }", "the source of `q` is empty"),
        (
            "signature = 'q -> a'\nwire = { q = 'b.x' }",
            "step `a`: `q`: there is no step `b`; did you mean `a`?",
        ),
        (
            "signature = 'q -> a'\nwire = { q = 'a.x' }",
            "step `a` has no output `x`; did you mean `a`?",
        ),
        (
            "signature = 'q -> a'\ncollect = { l = 'b' }",
            "collect: this step has no output `b`; did you mean `a`?",
        ),
        ("signature = 'q -> a'\ncollect = { a = 'a' }", "collect: there is a value `a` already"),
        ("signature = 'q -> a'\ncollect = { 'l-l' = 'a' }", "`l-l` cannot be the name of a list"),
        (
            "signature = 'q -> a'\nwhen = 'a <'",
            "step `a`: when: expected a name or a value, found the end",
        ),
        ("signature = 'q -> a'\nwhen = 'b == 1'", "line 4: step `a`: when: there is no value `b`"),
        (
            "signature = 'q -> a'\nwhen = 'a'",
            "step `a`: when: `a` is given only by a step further down",
        ),
        (
            "signature = 'q -> a'\nrepeat = { times = 2, until = 'a < 3' }",
            "step `a`: until: text and a number have no order",
        ),
        (
            "signature = 'q -> a'\n[[step.step]]\nname = 'b'\nsignature = 'q -> a'",
            "step `a`: a group of steps has no `signature`",
        ),
    ] {
        let message = error(&step(rest));
        assert!(message.contains(part), "{part:?} is not in:\n{message}\nfor\n{rest}");
    }
}

/// Two steps, `one` and `two`, with some text before and after.
fn two(top: &str, one: &str, second: &str, rest: &str) -> String {
    format!(
        "{top}\n[[step]]\nname = 'one'\nsignature = '{one}'\n[[step]]\nname = 'two'\n\
         signature = '{second}'\n{rest}"
    )
}

#[test]
fn the_wiring() {
    for (file, part) in [
        (
            two("", "q -> n: float", "n: int -> a", ""),
            "step `two`: the input `n` is int, which `one.n` does not fit: it is float",
        ),
        (two("", "q -> l: list[str]", "l -> a", ""), "write `l: list[str]`, or wire another value"),
        (
            two("", "q -> l: list[str]", "x: int -> a", "wire = { x = 'one.l' }"),
            "which `one.l` does not fit",
        ),
        (
            two("", "x -> q", "q -> x", ""),
            "step `one`: the input `x` reads `x`, which only a step further down gives",
        ),
        (
            two("", "q -> a", "x: str? -> y", "wire = { x = 'two.y' }"),
            "step `two`: the input `x` reads `two.y`, which only a step further down gives",
        ),
        (
            two("", "q: int -> a", "q: list[str] -> b", ""),
            "the input `q` is int for step `one` and list[str] for step `two`",
        ),
        (
            two("inputs = ['p']", "q -> a", "a -> b", ""),
            "there is no value `q`: it is no input, and no step gives it; did you mean",
        ),
        (
            two("inputs = ['q', 'unread']", "q -> a", "a -> b", ""),
            "line 1: inputs: nothing reads `unread`",
        ),
        (two("inputs = ['q', 'q']", "q -> a", "a -> b", ""), "inputs: `q` is there twice"),
        (two("inputs = ['q, r']", "q -> a", "a -> b", ""), "this is not one input"),
        (two("inputs = ['q: strr']", "q -> a", "a -> b", ""), "inputs: there is no type `strr`"),
        (
            two("inputs = ['q: str']", "q: int -> a", "a -> b", ""),
            "which the input `q` does not fit: it is str",
        ),
        (
            two("outputs = ['anwser']", "q -> answer", "answer -> b", ""),
            "line 1: outputs: there is no value `anwser`: it is no input, and no step gives it; did you mean `answer`?",
        ),
        (
            two("outputs = ['one.x']", "q -> a", "a -> b", ""),
            "outputs: step `one` has no output `x`",
        ),
        (two("outputs = ['a', 'one.a']", "q -> a", "a -> b", ""), "outputs: `a` is there twice"),
        (two("outputs = ['q']", "q -> a", "a -> b", ""), "the field `q` is there twice"),
        (
            two("", "q -> a: N where N = int", "a: N -> b where N = str", ""),
            "the type `N` is str here and int in another step",
        ),
        (
            two("", "q -> a", "q -> b: int", "collect = { l = 'b' }").replacen(
                "signature = 'q -> a'",
                "signature = 'q -> a'\ncollect = { l = 'a' }",
                1,
            ),
            "adds values of another type to `l`",
        ),
        (
            two("", r#"q -> e: enum["yes", "no"]"#, "q -> a", "when = 'e == \"yess\"'"),
            "`e` is never \"yess\"",
        ),
    ] {
        let message = error(&file);
        assert!(message.contains(part), "{part:?} is not in:\n{message}\nfor\n{file}");
    }
}

#[test]
fn loops() {
    let first_round = r#"
[[step]]
name = "improve"
signature = "draft, better: str -> good: bool"
repeat = 2
[[step]]
name = "two"
signature = "good: bool -> better"
"#;
    assert!(error(first_round).contains("which only a step further down gives"));
    let group = |wire: &str| {
        format!(
            "[[step]]\nname = 'hop'\nrepeat = 3\n[[step.step]]\nname = 'ask'\n\
             signature = 'question, fact -> query'\n{wire}\n[[step.step]]\nname = 'find'\n\
             signature = 'query -> fact'"
        )
    };
    let message = error(&group(""));
    assert!(
        message.contains(
            "step `ask`: the input `fact` reads `fact`, which nothing gives in the first round"
        ),
        "{message}"
    );
    assert!(message.contains("make it optional (`fact: str?`)"), "{message}");
    assert!(Pipeline::parse(&group("wire = { fact = ['find.fact', 'question'] }")).is_ok());
    assert!(Pipeline::parse(&group("").replace("fact ->", "fact: str? ->")).is_ok());
    let in_group = group("wire = { fact = 'hop.fact' }");
    assert!(error(&in_group).contains("`hop` is a group; name the step of it that gives `fact`"));
    let deep = (1..7).map(|n| format!("[[step{}]]\nname = 's{n}'\n", ".step".repeat(n - 1)));
    assert!(error(&deep.collect::<String>()).contains("groups of steps nest at most 4 deep"));
}

#[test]
fn a_file_names_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.toml");
    assert!(Pipeline::load(&path).unwrap_err().to_string().contains("p.toml"));
    std::fs::write(&path, "[[step]]\nname = 'a'").unwrap();
    let message = Pipeline::load(&path).unwrap_err().to_string();
    assert!(message.contains("p.toml: line 1: step `a`"), "{message}");
}

/// The pipeline files that stand in a text as TOML.
fn files(text: &str) -> Vec<String> {
    let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(str::to_owned).collect()
}

#[test]
fn the_files_in_the_docs_are_right() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/pipeline.md");
    let docs = files(&std::fs::read_to_string(docs).unwrap());
    let module = include_str!("../src/pipeline/mod.rs");
    let module: String = module
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    let all = [docs, files(&module)].concat();
    assert_eq!(all.len(), 3);
    for file in all {
        if let Err(error) = Pipeline::parse(&file) {
            panic!("{error}\nin\n{file}");
        }
    }
}

#[test]
fn no_slip_of_the_pen_panics() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/pipeline.md");
    let mut told = 0;
    for file in files(&std::fs::read_to_string(docs).unwrap()) {
        for (at, c) in file.char_indices() {
            for slip in ["", "x", "é", "'", "[", "\n"] {
                let slipped = format!("{}{slip}{}", &file[..at], &file[at + c.len_utf8()..]);
                if let Err(error) = Pipeline::parse(&slipped) {
                    told += 1;
                    let message = error.to_string();
                    assert!(message.starts_with("line "), "{message}\nfor\n{slipped}");
                }
            }
        }
    }
    assert!(told > 1000, "{told}");
}
