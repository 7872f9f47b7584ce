//! Making answers comparable: text, tokens, numbers.

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::number::numbers;

/// The text as it is compared: Unicode NFD, lower case, without ASCII punctuation, without the
/// words *a*, *an* and *the*, single spaces. These are the rules of SQuAD (Rajpurkar et al. 2016)
/// with Unicode decomposition, as DSPy 3.3.1 has them.
///
/// ```
/// use teleprompt::evaluate::metrics::normalize;
/// assert_eq!(normalize("The,  Eiffel  Tower!"), "eiffel tower");
/// assert_eq!(normalize("U.S.A."), "usa");
/// ```
pub fn normalize(text: &str) -> String {
    let kept = |c: &char| !c.is_ascii_punctuation();
    if text.is_ascii() {
        return squeeze(
            &text.chars().filter(kept).map(|c| c.to_ascii_lowercase()).collect::<String>(),
        );
    }
    squeeze(&text.nfd().collect::<String>().to_lowercase().chars().filter(kept).collect::<String>())
}

/// Single spaces for white space and for articles that stand between characters that are not of
/// words; none at the ends.
fn squeeze(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut gap = false;
    while let Some(first) = rest.chars().next() {
        let end = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (run, after) = rest.split_at(end);
        rest = after;
        if first.is_whitespace() || matches!(run, "a" | "an" | "the") {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) && !out.is_empty() {
            out.push(' ');
        }
        out.push_str(run);
    }
    out
}

/// Accents are part of words, so that *à* stays (DSPy drops it, as its *a* is an article).
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c)
}

/// Whether two texts are the same answer: equal when normalised. Where nothing is left of one (the
/// answer `A` is an article), what was there before is compared; where both are plain numbers, their
/// values are (`-5` is not `5`, nor `3.14` `314`, though punctuation is all that tells them apart).
pub(super) fn same_text(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (x, y) = (normalize(a), normalize(b));
    if x.is_empty() || y.is_empty() {
        return bare(a) == bare(b);
    }
    x == y && !matches!((plain_number(a), plain_number(b)), (Some(n), Some(m)) if !near(n, m))
}

/// Lower case without the space around: for texts of which normalising leaves nothing.
fn bare(text: &str) -> String {
    text.trim().to_lowercase()
}

/// The value of a text that is nothing but a number, such as `-1,234.5`.
pub(crate) fn plain_number(text: &str) -> Option<f64> {
    let text = text.trim();
    let first = numbers(text).into_iter().next()?;
    (first.start == 0 && first.end == text.len()).then_some(first.value)
}

/// Whether two JSON values are the same answer: texts by [`same_text`], numbers by value (42 is
/// 42.0), a text and a number or bool by the text of both, lists and objects part by part.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => same_text(a, b),
        (Value::String(text), other) | (other, Value::String(text)) => match other {
            Value::Number(n) => match (plain_number(text), n.as_f64()) {
                (Some(x), Some(y)) => near(x, y),
                _ => false,
            },
            Value::Bool(flag) => bare(text) == flag.to_string(),
            _ => false,
        },
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
        }
        _ => a == b,
    }
}

pub(super) fn same_number(a: &serde_json::Number, b: &serde_json::Number) -> bool {
    // Equal as JSON covers integers beyond the precision of floats.
    match (a.is_f64() || b.is_f64(), a.as_f64(), b.as_f64()) {
        (true, Some(a), Some(b)) => near(a, b),
        _ => a == b,
    }
}

/// Whether numbers are equal but for the rounding of decimal text: within 10⁻⁹ of their size.
pub(super) fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-9)
}

/// The words of a text after [`normalize`].
pub(super) fn words(normalized: &str) -> Vec<&str> {
    normalized.split(' ').filter(|w| !w.is_empty()).collect()
}

/// Tokens for passages, after [`normalize`]: runs of letters, marks and digits, and every other
/// visible character alone (the tokens of DPR, Karpukhin et al. 2020).
pub(super) fn tokens(text: &str) -> Vec<String> {
    let normalized = normalize(text);
    let mut tokens = Vec::new();
    let mut rest = normalized.as_str();
    while let Some(first) = rest.chars().next() {
        let end = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (token, after) = rest.split_at(end);
        if !first.is_whitespace() && !first.is_control() {
            tokens.push(token.to_owned());
        }
        rest = after;
    }
    tokens
}

/// Whether `part` stands in `whole` in one piece. An empty part stands nowhere.
pub(super) fn has_run<T: PartialEq<U>, U>(whole: &[T], part: &[U]) -> bool {
    !part.is_empty() && whole.windows(part.len()).any(|w| w == part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn normalize_follows_the_definition() {
        for (text, expected) in [
            ("The,  Eiffel  Tower!", "eiffel tower"),
            ("U.S.A.", "usa"),
            ("a.b an-b", "ab anb"),
            ("don't", "dont"),
            ("“quoted”", "“quoted”"),
            ("Café", "cafe\u{301}"),
            ("banana the theme an ant", "banana theme ant"),
            ("à Paris", "a\u{300} paris"),
            (" \t\n", ""),
        ] {
            assert_eq!(normalize(text), expected, "{text}");
        }
    }

    #[test]
    fn texts_that_only_punctuation_tells_apart() {
        assert!(same_text("1,000", "1000"));
        assert!(!same_text("-5", "5"));
        assert!(!same_text("3.14", "314"));
        assert!(same_text("A", " a"));
        assert!(!same_text("", "A"));
        assert!(!same_text("?", "!"));
    }

    #[test]
    fn values_are_compared_by_value() {
        for (a, b, expected) in [
            (json!(42), json!(42.0), true),
            (json!("42"), json!(42), true),
            (json!("42.5"), json!(42), false),
            (json!("True"), json!(true), true),
            (json!(["The cat", 1]), json!(["cat", 1.0]), true),
            (json!(["a b", "c"]), json!(["c", "a b"]), false),
            (json!({"x": 1, "y": null}), json!({"y": null, "x": 1}), true),
            (json!(null), json!(""), false),
            (json!(9007199254740993u64), json!(9007199254740992u64), false),
        ] {
            assert_eq!(same(&a, &b), expected, "{a} {b}");
            assert_eq!(same(&b, &a), expected, "{b} {a}");
        }
    }

    #[test]
    fn tokens_are_words_and_single_signs() {
        assert_eq!(tokens("The Café’s 2nd"), ["cafe\u{301}", "’", "s", "2nd"]);
        assert!(has_run(&["a", "b", "c"], &["b", "c"]) && !has_run(&["ab"], &["b"]));
        assert!(!has_run::<&str, &str>(&["a"], &[]));
    }
}
