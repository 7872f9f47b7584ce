use proptest::prelude::*;
use serde_json::{Value, json};
use teleprompt_core::{Type, TypeDefs};

use super::*;

fn parse(text: &str) -> Expr {
    Expr::parse(text).unwrap_or_else(|m| panic!("{text}: {}", m.show(text)))
}

/// With `x` 0.3, `n` 3, `s` "yes", `l` ["a", 1], `q.s` "no", `nil` null and no `none`.
fn holds(text: &str) -> Result<bool, String> {
    let values = json!({
        "x": 0.3, "n": 3, "zero": 0, "s": "yes", "empty": "", "l": ["a", 1], "t": true,
        "f": false, "m": {"k": 1}, "q.s": "no", "nil": null, "day": "2026-03-01",
    });
    parse(text).holds(&|key: &str| values.get(key))
}

#[test]
fn conditions_that_hold_and_that_do_not() {
    for (text, expected) in [
        ("x < 0.5", true),
        ("x >= 0.5", false),
        ("n == 3.0 and n <= 3 and n > 2", true),
        ("s == 'yes'", true),
        ("q.s != \"yes\"", true),
        ("day > '2026-02-28'", true),
        // `not` over `and` over `or`.
        ("t or f and f", true),
        ("(t or f) and f", false),
        ("not f and f", false),
        ("not (f and f)", true),
        ("not s == 'no'", true),
        ("(x < 1) == true", true),
        // Membership.
        ("'a' in l and 1.0 in l", true),
        ("'b' not in l", true),
        ("'e' in s", true),
        ("'k' in m and not 'v' in m", true),
        ("s in ['yes', 'no']", true),
        ("n in []", false),
        // Truth of values.
        ("x and n and s and l and t and m", true),
        ("zero or empty or f or nil or none or [] or ''", false),
        ("none.at_all", false),
        // Nothing is equal to nothing only, and has no order.
        ("none == null and nil == none", true),
        ("none != 1", true),
        ("none < 1", false),
        ("none >= 1", false),
        ("not none < 1", true),
        ("'a' in none", false),
        ("null in s", false),
        // Unlike types are unequal.
        ("s == 1", false),
        ("s != 1", true),
    ] {
        assert_eq!(holds(text), Ok(expected), "{text}");
    }
}

#[test]
fn values_without_an_order_are_an_error() {
    for (text, part) in [
        ("s < 1", "\"yes\" and 1 have no order"),
        ("t < f", "true and false have no order"),
        ("l >= l", "have no order"),
        ("1 in s", "1 cannot be looked for in \"yes\""),
        ("s in n", "\"yes\" cannot be looked for in 3"),
    ] {
        let error = holds(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
    assert_eq!(holds("f and s < 1"), Ok(false), "what is not needed is not looked at");
    assert_eq!(holds("t or s < 1"), Ok(true));
}

#[test]
fn mistakes_are_shown_with_a_caret() {
    for (text, message, marked) in [
        ("", "expected a name or a value, found the end", ""),
        ("x <", "expected a name or a value, found the end", ""),
        (
            "x = 1",
            "`=` has no meaning in a condition\n  x = 1\n    ^\n  to compare, write `==`",
            "=",
        ),
        ("x && y", "write `and`", "&&"),
        ("x || y", "write `or`", "||"),
        ("!x", "write `not`", "!"),
        ("0 < x < 1", "comparisons do not chain", "<"),
        ("x y", "expected a comparison, `and`, `or` or the end, found `y`", "y"),
        ("(x", "expected `)`, found the end", ""),
        ("x)", "found `)`", ")"),
        ("x.", "expected the name of a field", ""),
        ("x.y.z", "does not reach into values", "."),
        ("x in [a]", "a list holds values, not names", "a"),
        ("x in ['a' 'b']", "expected `,` or `]`, found a quoted text", "'b'"),
        ("x == 'a", "this text is not closed", "'a"),
        (r"x == '\q'", "an escape that JSON does not know", r"'\q'"),
        ("x == 1.2.3", "`1.2.3` is no number", "1.2.3"),
        ("x == 01", "`01` is no number", "01"),
        ("x # y", "`#` has no meaning", "#"),
        ("é == ü €", "`€` has no meaning", "€"),
        ("and", "expected a name or a value, found `and`", "and"),
    ] {
        let mistake = Expr::parse(text).unwrap_err();
        assert_eq!(&text[mistake.span.clone()], marked, "{text}");
        let shown = mistake.show(text);
        assert!(shown.contains(message), "{text}: {shown}");
    }
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("(", ")"), ("not ", ""), ("[", "]")] {
        let text = format!("{}x{}", open.repeat(100_000), close.repeat(100_000));
        let message = Expr::parse(&text).unwrap_err().message;
        assert!(message.contains("nested more than 64 deep"), "{message}");
    }
    assert!(holds(&vec!["t"; 100_000].join(" and ")).unwrap(), "length is no depth");
}

#[test]
fn types_show_mistakes() {
    let defs = TypeDefs::new();
    let types: Vec<(&str, Type)> = [
        ("x", "float"),
        ("s", "str"),
        ("day", "date"),
        ("b", "bool?"),
        ("l", "list[str]"),
        ("e", r#"enum["refund", "other"]"#),
        ("o", r#"enum["refund", "other"]?"#),
        ("u", "str | int"),
        ("a", "any"),
    ]
    .map(|(name, ty)| (name, ty.parse().unwrap()))
    .into();
    let check = |text: &str| {
        let look = |name: &str| Known {
            types: types.iter().filter(|(n, _)| *n == name).map(|(_, ty)| ty).collect(),
            defs: &defs,
        };
        super::check(&parse(text), &look).map_err(|m| m.show(text))
    };
    for text in [
        "x < 0.5 and s == 'a' and b == true and 'a' in l and day < '2026-01-01'",
        "e == 'refund' or o in ['refund', 'other'] or o == null",
        "u == 1 or u == 'a' or u < 3 or a < 3 or a in l or x == a",
        "s < 'm' or 'x' in s or (x < 1) == b",
    ] {
        assert_eq!(check(text), Ok(()), "{text}");
    }
    for (text, part) in [
        ("x == 'high'", "a number is never equal to text\n  x == 'high'\n  ^^^^^^^^^^^"),
        ("s < 3", "text and a number have no order"),
        ("b < true", "true or false is neither smaller nor greater"),
        ("l > 2", "a list is neither smaller nor greater"),
        ("s in x", "nothing can be in a number"),
        ("x in s", "a number is never in text"),
        (
            "e == 'refnd'",
            "`e` is never \"refnd\"\n  e == 'refnd'\n       ^^^^^^^\n  did you mean `\"refund\"`?",
        ),
        ("'zzz' != o", "it is one of: \"refund\", \"other\""),
        ("o not in ['other', 'refunds']", "`o` is never \"refunds\""),
        ("not (t or x == 'high')", "never equal"),
    ] {
        let error = check(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

fn literals() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has finite numbers only", |x| x.is_finite())
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    scalar.prop_recursive(2, 8, 3, |inner| prop::collection::vec(inner, 0..3).prop_map(Value::from))
}

fn expressions() -> impl Strategy<Value = Expr> {
    let name = "[a-z_][a-z0-9_]{0,3}(\\.[a-z]{1,3})?"
        .prop_filter("a word of conditions", |n| !WORDS.contains(&n.as_str()))
        .prop_map(|name| Expr::Name(name.into(), Place::default()));
    let leaf = prop_oneof![name, literals().prop_map(|v| Expr::Literal(v, Place::default()))];
    let ops = prop::sample::select(vec![
        Op::Eq,
        Op::Ne,
        Op::Lt,
        Op::Le,
        Op::Gt,
        Op::Ge,
        Op::In,
        Op::NotIn,
    ]);
    leaf.prop_recursive(4, 24, 3, move |inner| {
        let compare = (inner.clone(), ops.clone(), inner.clone()).prop_map(|(left, op, right)| {
            Expr::Compare(Box::new(Comparison { left, op, right, place: Place::default() }))
        });
        let several = || prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            compare,
            inner.clone().prop_map(|e| Expr::Not(Box::new(e))),
            several().prop_map(Expr::And),
            several().prop_map(Expr::Or),
        ]
    })
}

proptest! {
    #[test]
    fn printed_conditions_parse_to_themselves(expr in expressions()) {
        let text = expr.to_string();
        let again = Expr::parse(&text);
        prop_assert!(again.is_ok(), "{text}: {again:?}");
        prop_assert_eq!(again.unwrap(), expr, "{}", text);
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        if let Err(mistake) = Expr::parse(&text) {
            mistake.show(&text);
        }
    }

    #[test]
    fn no_soup_of_tokens_panics(
        words in prop::collection::vec(prop::sample::select(vec![
            "and", "or", "not", "in", "(", ")", "[", "]", ",", ".", "==", "<", ">=", "x", "s.f",
            "1", "-2.5e3", "'a'", "\"b\"", "null", "true", "!", "=",
        ]), 0..12)
    ) {
        let text = words.join(" ");
        match Expr::parse(&text) {
            Ok(expr) => {
                prop_assert_eq!(Expr::parse(&expr.to_string()).unwrap(), expr.clone());
                // Whatever the values are, it holds, does not hold, or says why it cannot be told.
                let value = json!([1, "a"]);
                let _ = expr.holds(&|key| (key == "x").then_some(&value));
            }
            Err(mistake) => prop_assert!(!mistake.show(&text).is_empty()),
        }
    }
}
