//! The grammar of chat replies against llguidance, with one token a byte.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail loudly"
)]

mod adapter_support;

use std::sync::LazyLock;

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use proptest::prelude::*;
use teleprompt::adapter::ChatAdapter;
use teleprompt::{Adapter, Signature};
use toktrie::ApproximateTokEnv;

static FACTORY: LazyLock<ParserFactory> = LazyLock::new(|| {
    let env = ApproximateTokEnv::single_byte_env();
    let mut factory = ParserFactory::new_simple(&env).unwrap();
    factory.quiet();
    factory
});

fn matcher(signature: &Signature) -> Matcher {
    let lark = ChatAdapter.constraint(signature).unwrap().lark.unwrap();
    let grammar = TopLevelGrammar::from_lark(lark.to_string());
    let parser = FACTORY.create_parser(grammar);
    assert!(parser.is_ok(), "{signature}\n{lark}\n{:?}", parser.err());
    Matcher::new(parser)
}

/// Whether the grammar admits this reply as a whole.
fn admits(signature: &Signature, reply: &str) -> bool {
    let mut matcher = matcher(signature);
    let tokens: Vec<u32> = reply.bytes().map(u32::from).collect();
    let taken = matcher.try_consume_tokens(&tokens).unwrap_or(0);
    taken == tokens.len() && matcher.is_accepting().unwrap_or(false)
}

fn signature(text: &str) -> Signature {
    text.parse().unwrap()
}

#[test]
fn labels_and_markers_are_enforced() {
    let s = signature("m -> intent: enum[\"card lost\", \"top_up\"], why");
    assert!(admits(&s, "[[ ## intent ## ]]\ncard lost\n\n[[ ## why ## ]]\nIt says so."));
    for wrong in [
        "[[ ## intent ## ]]\ncard\n\n[[ ## why ## ]]\nIt says so.",
        "[[ ## intent ## ]]\nCard lost\n\n[[ ## why ## ]]\nIt says so.",
        "[[ ## intent ## ]]\ncard lost\n\nIt says so.",
        "card lost\n\n[[ ## why ## ]]\nIt says so.",
        "[[ ## intent ## ]]\ncard lost\n\n[[ ## why ## ]]\n",
        "[[ ## intent ## ]]\ncard lost\n\n[[ ## why ## ]]\nx\n\n[[ ## m ## ]]\ny",
        "[[ ## intent ## ]]\ncard lost",
    ] {
        assert!(!admits(&s, wrong), "{wrong}");
    }
}

#[test]
fn values_are_enforced() {
    let case = |ty: &str, good: &[&str], bad: &[&str]| {
        for other in ["", ", next"] {
            let s = signature(&format!("-> x: {ty}{other}"));
            let tail = if other.is_empty() { "" } else { "\n\n[[ ## next ## ]]\ny" };
            for value in good {
                assert!(admits(&s, &format!("[[ ## x ## ]]\n{value}{tail}")), "{ty}: {value}");
            }
            for value in bad {
                assert!(!admits(&s, &format!("[[ ## x ## ]]\n{value}{tail}")), "{ty}: {value}");
            }
        }
    };
    case(
        "int",
        &["0", "-7", "18446744073709551615"],
        &["", "1.0", "x", "007", "18446744073709551616"],
    );
    case("int(1..5)", &["1", "5"], &["0", "6", "15", "five"]);
    case("int(in [1, 3])", &["1", "3"], &["2"]);
    case(
        "float(0..1)",
        &["0", "0.25", "1.0"],
        &["1.01", "-0.1", "1e-3", "0.333333333333333333333"],
    );
    case("float(..-0.5)", &["-0.5", "-7.25"], &["-0.4", "0", "0.5"]);
    case("bool", &["true", "false"], &["True", "yes"]);
    case("date", &["2024-02-29", "1999-12-31"], &["2023-02-29", "2024-13-01", "2024-1-1"]);
    case("str(len 2..4)", &["ab", "a\nbc", "éé", "\"\\n\\n\""], &["a", "abcde", "ab "]);
    case("str(pattern \"[A-Z]{2}/[0-9]+\")", &["AB/7"], &["ab/7", "AB/", "AB/7 "]);
    case("list[int](len 1..2)", &["[1]", "[1, 2]"], &["[]", "[1, 2, 3]", "[1,2]", "[1, x]"]);
    case("list[str]", &["[]", "[\"a\", \"b\\n\"]"], &["a, b", "[a]"]);
    case(
        "{a: int, b: str?}",
        &["{\"a\": 1, \"b\": null}"],
        &["{\"a\": 1}", "{\"b\": null, \"a\": 1}"],
    );
    case("dict[str, bool]", &["{}", "{\"k\": true}"], &["{\"k\": 1}"]);
    case("int?", &["5", "null"], &["None", ""]);
    case("int | bool", &["5", "true"], &["x"]);
    case("list[str(pattern \"[a-z]+\")]", &["[\"ab\"]"], &["[\"AB\"]"]);
    case("tuple[int, date]", &["[1, \"2024-01-05\"]"], &["[1]", "[1, \"x\"]"]);
    case("any", &["x", "5", "{\"a\": 1}"], &[""]);
    case("list[any]", &["[1, {\"a\": [null, -2.5]}]"], &["[x]"]);
}

#[test]
fn named_types_may_be_recursive() {
    let s = signature("-> t: Node where Node = {v: int, next: Node?}");
    assert!(admits(&s, "[[ ## t ## ]]\n{\"v\": 1, \"next\": {\"v\": 2, \"next\": null}}"));
    assert!(!admits(&s, "[[ ## t ## ]]\n{\"v\": 1, \"next\": {\"v\": \"x\", \"next\": null}}"));
}

#[test]
fn text_ends_at_the_next_marker() {
    let s = signature("-> a, b");
    for a in ["x", "two\n\nlines", "[[ x ]]", "in [[ ## a ## ]] line", "\"\\n[[ ## b ## ]]\""] {
        assert!(admits(&s, &format!("[[ ## a ## ]]\n{a}\n\n[[ ## b ## ]]\ny")), "{a}");
    }
    assert!(!admits(&s, "[[ ## a ## ]]\nx\n[[ ## c ## ]]\n\n[[ ## b ## ]]\ny"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_value_is_forbidden((signature, outputs) in adapter_support::case()) {
        let written = ChatAdapter.assistant(&signature, &outputs);
        prop_assert!(admits(&signature, &written), "{}\n{}\n{:?}", signature, written,
            ChatAdapter.constraint(&signature).unwrap().lark);
    }

    #[test]
    fn what_is_admitted_can_be_read(
        (signature, _) in adapter_support::case(),
        seed: u64,
    ) {
        if let Some(reply) = walk(&signature, seed) {
            let read = ChatAdapter.parse(&signature, &reply);
            prop_assert!(read.is_ok(), "{}\n{}\n{}", signature, reply, read.unwrap_err());
        }
    }
}

/// A random reply that the grammar admits, if it comes to an end in time.
fn walk(signature: &Signature, seed: u64) -> Option<String> {
    let mut state = seed;
    let mut random = move |n: usize| {
        // A linear congruence (Knuth's MMIX); the high bits are good enough here.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % n.max(1)
    };
    let mut matcher = matcher(signature);
    let mut reply = Vec::new();
    let markers: Vec<Vec<u32>> = signature
        .outputs()
        .iter()
        .map(|f| format!("\n\n[[ ## {} ## ]]\n", f.name).bytes().map(u32::from).collect())
        .collect();
    for _ in 0..400 {
        let ends = matcher.is_stopped() || random(3) == 0;
        if ends && matcher.is_accepting().unwrap_or(false) {
            return String::from_utf8(reply).ok();
        }
        if random(5) == 0
            && let Some(marker) =
                markers.iter().find(|m| matcher.validate_tokens(m).unwrap_or(0) == m.len())
        {
            matcher.consume_tokens(marker).unwrap();
            reply.extend(marker.iter().map(|t| u8::try_from(*t).unwrap()));
            continue;
        }
        let mask = matcher.compute_mask().unwrap();
        let allowed: Vec<u8> = (0..128u8).filter(|b| mask.is_allowed(u32::from(*b))).collect();
        let byte = *allowed.get(random(allowed.len()))?;
        matcher.consume_token(u32::from(byte)).unwrap();
        reply.push(byte);
    }
    None
}

#[test]
fn walks_reach_an_end() {
    let s = signature("-> a: enum[\"x\", \"y\"], b: list[int], c");
    let replies: Vec<String> = (0..20).filter_map(|seed| walk(&s, seed)).collect();
    assert!(replies.len() > 10, "{replies:?}");
    for reply in replies {
        assert_eq!(ChatAdapter.parse(&s, &reply).unwrap().fields.len(), 3, "{reply}");
    }
}
