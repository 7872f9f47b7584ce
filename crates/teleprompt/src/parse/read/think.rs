//! Thinking parts before the answer.

const TAGS: [(&str, &str); 3] =
    [("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>")];

/// The reply without its thinking part, and whether there was one.
///
/// A reply that opens with `<think>` loses everything up to the closing tag; where the closing tag
/// is missing, only the tag itself, so that an answer after it can still be found. A closing tag
/// without an opening one ends thinking that the chat template began: all before it goes.
///
/// ```
/// use teleprompt::parse::read::without_thinking;
/// assert_eq!(without_thinking("<think>6 × 7</think>\n42"), ("\n42", true));
/// assert_eq!(without_thinking("so 42.</think>42"), ("42", true));
/// assert_eq!(without_thinking("42"), ("42", false));
/// ```
pub fn without_thinking(reply: &str) -> (&str, bool) {
    if !reply.contains('<') {
        return (reply, false);
    }
    let trimmed = reply.trim_start();
    for (open, close) in TAGS {
        let opened = trimmed.strip_prefix(open);
        let closed = match opened {
            Some(inside) => inside.split_once(close),
            None => trimmed.split_once(close).filter(|(before, _)| !before.contains(open)),
        };
        match (opened, closed) {
            (_, Some((_, answer))) => return (answer, true),
            (Some(inside), None) => return (inside, true),
            (None, None) => {}
        }
    }
    (reply, false)
}
