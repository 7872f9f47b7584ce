use super::*;
use crate::adapter::{ChatAdapter, JsonAdapter};
use proptest::prelude::*;
use teleprompt_core::record;

fn token((token, top): &(&str, &[(&str, f32)])) -> TokenLogprob {
    let top: Vec<(String, f32)> = top.iter().map(|(t, p)| (t.to_string(), p.ln())).collect();
    let logprob = top.iter().find(|(t, _)| t == token).map_or(0.0, |(_, logprob)| *logprob);
    TokenLogprob { token: token.to_string(), logprob, top }
}

type Tokens<'t> = &'t [(&'t str, &'t [(&'t str, f32)])];

/// The evidence on the output `a` of this type, by the tokens of its value.
fn of_value(ty: &str, tokens: Tokens<'_>) -> Vec<(String, f64)> {
    let signature: Signature = format!("q -> a: {ty}").parse().unwrap();
    let labels = Labels::of(&signature.outputs()[0].ty).unwrap();
    let tokens: Vec<TokenLogprob> = tokens.iter().map(token).collect();
    let found = by_text(&labels, &masses(&labels, &tokens));
    found.into_iter().map(|(label, p)| (label.to_string(), (p * 1000.0).round() / 1000.0)).collect()
}

fn pairs(pairs: &[(&str, f64)]) -> Vec<(String, f64)> {
    pairs.iter().map(|(label, p)| (label.to_string(), *p)).collect()
}

#[test]
fn rivals_of_the_first_token_add_up_by_label() {
    let top = [(" true", 0.5), ("True", 0.1), ("f", 0.1), ("false", 0.1), ("maybe", 0.2)];
    let found = of_value("bool", &[(" true", &top)]);
    assert_eq!(found, pairs(&[("false", 0.25), ("true", 0.75)]));
}

#[test]
fn what_was_written_need_not_be_among_the_rivals() {
    let found = of_value("bool", &[("true", &[("false", 0.25)])]);
    assert_eq!(found, pairs(&[("false", 0.2), ("true", 0.8)]));
}

#[test]
fn labels_that_begin_alike_are_told_apart_where_they_part() {
    let ty = r#"enum["card lost", "card stolen", "refund"]"#;
    let first = [("card", 0.8), ("ref", 0.2)];
    let second = [(" lost", 0.75), (" stolen", 0.25)];
    let found = of_value(ty, &[("card", &first), (" lost", &second)]);
    assert_eq!(found, pairs(&[("card lost", 0.6), ("card stolen", 0.2), ("refund", 0.2)]));
    // Where a path was not taken, those on it share.
    let found = of_value(ty, &[("ref", &first)]);
    assert_eq!(found, pairs(&[("card lost", 0.4), ("card stolen", 0.4), ("refund", 0.2)]));
    // The engine writes what the grammar forces without rivals.
    let found =
        of_value(ty.replace(", \"refund\"", "").as_str(), &[("card", &[]), (" lost", &second)]);
    assert_eq!(found, pairs(&[("card lost", 0.75), ("card stolen", 0.25)]));
}

#[test]
fn a_label_may_begin_with_another() {
    let ty = "int(1..10)";
    let first = [("1", 0.6), ("2", 0.4)];
    let second = [("0", 0.5), ("\n", 0.5)];
    let ten = of_value(ty, &[("1", &first), ("0", &second)]);
    assert_eq!(ten, pairs(&[("1", 0.3), ("10", 0.3), ("2", 0.4)]));
    // The text ends behind it: nothing is said of the longer one.
    assert_eq!(of_value(ty, &[("1", &first)]), pairs(&[("1", 0.6), ("2", 0.4)]));
    let none =
        of_value(r#"enum["no", "none"]"#, &[("no", &[]), ("ne", &[("ne", 0.9), ("<e>", 0.1)])]);
    assert_eq!(none, pairs(&[("no", 0.1), ("none", 0.9)]));
}

#[test]
fn other_words_are_no_evidence() {
    assert_eq!(of_value("bool", &[("yes", &[("yes", 0.9), ("no", 0.1)])]), pairs(&[]));
    assert_eq!(of_value("bool", &[]), pairs(&[]));
}

#[test]
fn the_value_begins_where_the_adapter_reads_it() {
    let signature: Signature = "q -> why, ok: bool".parse().unwrap();
    let at = |adapter: &dyn Adapter, signature: &Signature, texts: &[&str]| {
        let tokens: Vec<_> = texts.iter().map(|t| token(&(t, &[]))).collect();
        begin(adapter, signature, "ok", &tokens)
    };
    let chat = ["[[ ## why ## ]]\n", "It", " is ok: true\n\n[[ ## ", "ok", " ## ]]", "\n", "true"];
    assert_eq!(at(&ChatAdapter, &signature, &chat), Some(6));
    let json = ["{\"why\": \"true\",", " \"ok\":", " ", "true", "}"];
    assert_eq!(at(&JsonAdapter, &signature, &json), Some(3));
    assert_eq!(at(&ChatAdapter, &signature, &["nothing"]), None);
    let only: Signature = "q -> ok: bool".parse().unwrap();
    assert_eq!(at(&ChatAdapter, &only, &["\n", "true"]), Some(1));
}

#[test]
fn a_quote_before_a_label_is_no_part_of_it() {
    let signature: Signature = r#"q -> a: enum["x", "y"]"#.parse().unwrap();
    let parameters = Parameters {
        decisions: [(
            "a".into(),
            teleprompt_core::Decision {
                from: EvidenceSource::Logprobs,
                rule: teleprompt_core::Rule::Weights([].into()),
            },
        )]
        .into(),
        ..Parameters::default()
    };
    let decisions = Decisions::new(&parameters, &signature).unwrap();
    for tokens in [
        [("{\"a\":", &[][..]), (" \"x", &[(" \"x", 0.25), (" \"y", 0.75)]), ("\"}", &[])],
        [("{\"a\": \"", &[][..]), ("x", &[("x", 0.25), ("y", 0.75)]), ("\"}", &[])],
    ] {
        let completion = Completion {
            logprobs: Some(tokens.iter().map(token).collect()),
            ..Completion::default()
        };
        let mut reply = Parsed { fields: record! { a: "x" }, flags: Vec::new() };
        let evidence = decisions.apply(&JsonAdapter, &signature, &completion, &mut reply);
        assert_eq!((&reply.fields["a"], &evidence["a"].said), (&"y".into(), &"x".into()));
    }
}

proptest! {
    #[test]
    fn masses_are_probabilities(
        tokens in prop::collection::vec(
            ("[ab1\" ]{0,3}", -9.0f32..0.0, prop::collection::vec(("[ab1\" ]{0,3}", -9.0f32..0.0), 0..4)),
            0..6,
        ),
    ) {
        let signature: Signature = r#"q -> a: enum["a", "ab", "aba", "b1", "1"]"#.parse().unwrap();
        let labels = Labels::of(&signature.outputs()[0].ty).unwrap();
        let tokens: Vec<TokenLogprob> =
            tokens.into_iter().map(|(token, logprob, top)| TokenLogprob { token, logprob, top }).collect();
        let found = by_text(&labels, &masses(&labels, &tokens));
        let sum: f64 = found.values().sum();
        prop_assert!(found.is_empty() || (sum - 1.0).abs() < 1e-4, "{found:?}");
        prop_assert!(found.values().all(|p| (0.0..=1.0).contains(p)));
    }
}
