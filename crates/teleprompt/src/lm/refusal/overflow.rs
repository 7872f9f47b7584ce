//! A prompt that does not fit the window, in the words of each provider.

/// Whether the message says that prompt and completion do not fit the window.
pub(super) fn is_told(message: &str) -> bool {
    const SAID: [&str; 9] = [
        "maximum context length",
        "maximum prompt length",
        "context size",
        "context window",
        "context length",
        "context limit",
        "prompt is too long",
        "exceeds the maximum number of tokens",
        "`max_new_tokens` must be <=",
    ];
    let message = message.to_lowercase();
    SAID.iter().any(|phrase| message.contains(phrase))
}

/// Needed and available tokens as the message tells them: a sum that is compared with the limit, or
/// the largest number and the largest one below it.
pub(super) fn sizes(message: &str) -> Option<(u64, u64)> {
    let words: Vec<&str> = message.split_whitespace().map(bare).collect();
    compared(&words).or_else(|| given(&words)).or_else(|| {
        let numbers: Vec<u64> = words.iter().copied().filter_map(number).collect();
        let needed = numbers.iter().copied().max()?;
        let limit = numbers.into_iter().filter(|n| *n < needed).max()?;
        Some((needed, limit))
    })
}

/// The word without the marks around it.
fn bare(word: &str) -> &str {
    let inner = word.trim_matches(|c: char| !c.is_alphanumeric());
    if inner.is_empty() { word } else { inner }
}

/// A number such as `210000` or `210,000`, but none inside another word.
fn number(word: &str) -> Option<u64> {
    let plain = word.chars().all(|c| c.is_ascii_digit() || c == ',' || c == '_');
    plain.then(|| word.replace([',', '_'], "").parse().ok()).flatten()
}

/// `190000 + 20000 > 200000` (Anthropic), `5000 > 4096 - 100` (vLLM).
fn compared(words: &[&str]) -> Option<(u64, u64)> {
    words.windows(5).find_map(|window| match *window {
        [a, "+", b, ">", limit] => Some((number(a)? + number(b)?, number(limit)?)),
        [a, ">", limit, "-", b] => Some((number(a)? + number(b)?, number(limit)?)),
        _ => None,
    })
}

/// `must be <= 4097. Given: 4000 … and 1000 …` (text-generation-inference and its kin).
fn given(words: &[&str]) -> Option<(u64, u64)> {
    let at = words.iter().position(|word| *word == "Given")?;
    let (before, after) = words.split_at_checked(at)?;
    let limit = before.iter().rev().find_map(|word| number(word))?;
    Some((after.iter().filter_map(|word| number(word)).sum(), limit))
}

#[cfg(test)]
mod tests {
    use super::super::Complaint;

    use teleprompt_core::LmErrorKind as Kind;

    #[test]
    fn the_sizes_are_found_in_every_wording() {
        let cases = [
            (
                "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
                (9000, 8192),
            ),
            (
                "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the messages, 1000 in the completion).",
                (5000, 4096),
            ),
            (
                "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 tokens and your request has 100 input tokens (5000 > 4096 - 100).",
                (5100, 4096),
            ),
            ("prompt is too long: 210,000 tokens > 200,000 maximum", (210_000, 200_000)),
            (
                "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again",
                (210_000, 200_000),
            ),
            (
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                (1_200_000, 1_048_576),
            ),
            (
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 4000 `inputs` tokens and 1000 `max_new_tokens`",
                (5000, 4097),
            ),
            (
                "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
                (140_000, 131_072),
            ),
            (
                "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
                (5000, 4096),
            ),
            (
                "claude-3-5-sonnet-20241022: prompt is too long: 210000 tokens > 200000 maximum",
                (210_000, 200_000),
            ),
        ];
        for (message, (needed, limit)) in cases {
            let body = serde_json::json!({"error": {"message": message}}).to_string();
            let kind = Complaint::read(&body).kind(400);
            assert_eq!(kind, Kind::ContextOverflow { needed, limit }, "{message}");
        }
    }

    #[test]
    fn sizes_may_stand_on_their_own_or_not_at_all() {
        let llama = r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_prompt_tokens":700,"n_ctx":512}}"#;
        let kind = Complaint::read(llama).kind(400);
        assert_eq!(kind, Kind::ContextOverflow { needed: 700, limit: 512 });
        let bare = r#"{"error":{"code":"context_length_exceeded","message":"too long"}}"#;
        assert_eq!(Complaint::read(bare).kind(400), Kind::ContextOverflow { needed: 0, limit: 0 });
    }

    #[test]
    fn other_limits_are_no_overflow() {
        let body = r#"{"error":{"message":"max_tokens is too large: 5000. This model supports at most 4096 completion tokens."}}"#;
        assert_eq!(Complaint::read(body).kind(400), Kind::InvalidRequest);
    }
}
