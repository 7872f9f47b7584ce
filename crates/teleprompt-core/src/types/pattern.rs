//! Patterns of JSON schema match anywhere in a text; ours match the whole of it.

/// The whole-text form of a pattern that may match anywhere.
pub(super) fn whole_text(pattern: &str) -> String {
    if let Some(inner) = own_form(pattern) {
        return inner.to_owned();
    }
    if has_top_level_bar(pattern) {
        // `^a|b$` means: begins with a, or ends with b.
        return format!("(?s:.*)(?:{pattern})(?s:.*)");
    }
    let (rest, head) = match pattern.strip_prefix('^') {
        Some(rest) => (rest, ""),
        None => (pattern, "(?s:.*)"),
    };
    let (inner, tail) = match rest.strip_suffix('$').filter(|inner| !ends_escaped(inner)) {
        Some(inner) => (inner, ""),
        None => (rest, "(?s:.*)"),
    };
    format!("{head}{inner}{tail}")
}

/// The `p` of `^(?:p)$`, which is how our schemas say a whole-text pattern.
fn own_form(pattern: &str) -> Option<&str> {
    let inner = pattern.strip_prefix("^(?:")?.strip_suffix(")$")?;
    closes_nothing_outside(inner).then_some(inner)
}

/// Whether a backslash takes the next character along.
fn ends_escaped(text: &str) -> bool {
    text.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1
}

/// The depth of parentheses at each character that is neither escaped nor in a class.
fn depths(pattern: &str) -> impl Iterator<Item = (char, i32)> {
    let (mut escaped, mut class, mut depth) = (false, false, 0);
    pattern.chars().filter_map(move |c| {
        if escaped {
            escaped = false;
            return None;
        }
        match c {
            '\\' => escaped = true,
            ']' => class = false,
            _ if class => {}
            '[' => class = true,
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => return Some((c, depth)),
        }
        (!class).then_some((c, depth))
    })
}

fn has_top_level_bar(pattern: &str) -> bool {
    depths(pattern).any(|(c, depth)| c == '|' && depth == 0)
}

fn closes_nothing_outside(inner: &str) -> bool {
    !depths(inner).any(|(_, depth)| depth < 0)
}

#[cfg(test)]
mod tests {
    use super::whole_text;

    #[test]
    fn a_pattern_that_matches_anywhere_means_the_same_as_a_whole_text_pattern() {
        let table = [
            ("^[A-Z]+$", "[A-Z]+"),
            ("^(a|b)$", "(a|b)"),
            ("^(?:a|b)$", "a|b"),
            ("^(?:a)(?:b)$", "(?:a)(?:b)"),
            ("^ab", "ab(?s:.*)"),
            ("ab$", "(?s:.*)ab"),
            ("ab", "(?s:.*)ab(?s:.*)"),
            (r"^cost\$", r"cost\$(?s:.*)"),
            (r"^a\\$", r"a\\"),
            ("^a|b$", "(?s:.*)(?:^a|b$)(?s:.*)"),
            ("^[|]$", "[|]"),
            (r"^\|$", r"\|"),
        ];
        for (anywhere, whole) in table {
            assert_eq!(whole_text(anywhere), whole, "{anywhere}");
            let (one, all) = (
                regex::Regex::new(anywhere).unwrap(),
                regex::Regex::new(&format!("^(?:{whole})$")).unwrap(),
            );
            for text in ["a", "b", "ab", "xab", "abx", "A", "|", r"a\", "cost$", "cost$ 5", "ax"] {
                assert_eq!(one.is_match(text), all.is_match(text), "{anywhere} on {text}");
            }
        }
    }
}
