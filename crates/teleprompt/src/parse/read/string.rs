//! Texts inside JSON: escapes, LaTeX, and where a text with loose quotes ends.

/// LaTeX commands that begin with a letter which is also a JSON escape and that go on as no English
/// word does after a line break or tab (`\to` and `\tan` are missing: a tab before "o" or "an").
const COMMANDS: &[&str] = &[
    "nabla",
    "natural",
    "ne",
    "neg",
    "neq",
    "nexists",
    "newline",
    "nmid",
    "not",
    "notin",
    "nu",
    "rangle",
    "rbrace",
    "rbrack",
    "rceil",
    "rfloor",
    "rho",
    "right",
    "rightarrow",
    "rm",
    "tau",
    "text",
    "textbf",
    "textit",
    "textrm",
    "tfrac",
    "theta",
    "tilde",
    "times",
    "triangle",
];

/// Whether the escape `\` + `letter` with `after` behind it is LaTeX rather than a control
/// character.
///
/// Nobody writes backspaces and form feeds in answers, so `\b` and `\f` before a letter are text.
/// `\n`, `\r` and `\t` are text when the letters spell one of a list of LaTeX commands.
fn is_latex(letter: u8, after: &[u8]) -> bool {
    match letter {
        b'b' | b'f' => after.first().is_some_and(u8::is_ascii_alphabetic),
        b'n' | b'r' | b't' => COMMANDS.iter().any(|c| is_command(c.as_bytes(), letter, after)),
        _ => false,
    }
}

fn is_command(command: &[u8], letter: u8, after: &[u8]) -> bool {
    let Some((first, tail)) = command.split_first() else {
        return false;
    };
    let next = after.get(tail.len());
    *first == letter && after.starts_with(tail) && !next.is_some_and(u8::is_ascii_alphabetic)
}

/// Whether a line break followed by this text could be mistaken for LaTeX once it is escaped.
pub(crate) fn newline_is_doubtful(after: &str) -> bool {
    is_latex(b'n', after.as_bytes())
}

/// Whether valid JSON has an escape that in replies is LaTeX.
pub(crate) fn has_doubtful_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(at) = bytes.get(from..).and_then(|b| b.iter().position(|b| *b == b'\\')) {
        let at = from + at;
        let letter = bytes.get(at + 1).copied().unwrap_or(0);
        if is_latex(letter, bytes.get(at + 2..).unwrap_or(&[])) {
            return true;
        }
        from = at + 2;
    }
    false
}

/// What a backslash in a text stands for.
pub(super) enum Escape {
    /// This character; the escape has so many bytes.
    Char(char, usize),
    /// Itself: no escape that JSON knows, or LaTeX.
    Text,
}

/// Reads the escape at the start of `bytes`, which is a backslash.
pub(super) fn escape(bytes: &[u8]) -> Escape {
    let letter = bytes.get(1).copied().unwrap_or(0);
    let after = bytes.get(2..).unwrap_or(&[]);
    if is_latex(letter, after) {
        return Escape::Text;
    }
    match letter {
        b'"' | b'\\' | b'/' | b'\'' => Escape::Char(char::from(letter), 2),
        b'n' => Escape::Char('\n', 2),
        b't' => Escape::Char('\t', 2),
        b'r' => Escape::Char('\r', 2),
        b'b' => Escape::Char('\u{8}', 2),
        b'f' => Escape::Char('\u{c}', 2),
        b'u' => unicode(after),
        _ => Escape::Text,
    }
}

/// `\uXXXX`, or a pair of them for a character beyond the basic plane.
fn unicode(after: &[u8]) -> Escape {
    let Some(first) = hex4(after) else {
        return Escape::Text;
    };
    if let Some(c) = char::from_u32(first) {
        return Escape::Char(c, 6);
    }
    let second = after.get(4..).and_then(|b| b.strip_prefix(b"\\u")).and_then(hex4);
    match second {
        Some(low @ 0xDC00..=0xDFFF) if (0xD800..0xDC00).contains(&first) => {
            let code = 0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00);
            Escape::Char(char::from_u32(code).unwrap_or('\u{fffd}'), 12)
        }
        _ => Escape::Char('\u{fffd}', 6),
    }
}

fn hex4(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.get(..4)?;
    digits.iter().try_fold(0, |n, b| Some(n * 16 + char::from(*b).to_digit(16)?))
}

/// Where a quoted text stands, which decides what may follow its closing quote.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    /// The key of an object.
    Key,
    /// A value in an object.
    Entry,
    /// An item of a list.
    Item,
    /// Outside of any structure.
    Alone,
}

/// So many bytes after a quote decide whether it closes the text.
const LOOKAHEAD: usize = 160;

/// Whether a quote, with `after` behind it, closes the text rather than being part of it.
pub(super) fn closes(place: Place, after: &[u8]) -> bool {
    let after = after.get(..LOOKAHEAD).unwrap_or(after);
    let next = skip_space(after);
    match (place, next.first()) {
        (_, None) => true,
        (Place::Key, Some(_)) => true,
        (Place::Alone, Some(_)) => false,
        (Place::Entry, Some(b'}' | b'/' | b'#')) | (Place::Item, Some(b']' | b'/' | b'#')) => true,
        // A structure that was closed by the wrong bracket, or not at all.
        (Place::Entry, Some(b']')) | (Place::Item, Some(b'}')) => true,
        (Place::Entry, Some(b',')) => {
            let rest = skip_space(next.get(1..).unwrap_or(&[]));
            matches!(rest.first(), None | Some(b'}' | b',' | b'/' | b'#')) || starts_key(rest)
        }
        (Place::Item, Some(b',')) => {
            let rest = skip_space(next.get(1..).unwrap_or(&[]));
            rest.first().is_none_or(|b| starts_value(*b))
        }
        // A missing comma.
        (Place::Entry, Some(_)) => next.len() < after.len() && starts_key(next),
        (Place::Item, Some(b)) => has_newline(after, next) && is_quote(*b),
    }
}

fn skip_space(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii_start()
}

fn has_newline(from: &[u8], to: &[u8]) -> bool {
    from.get(..from.len() - to.len()).is_some_and(|space| space.contains(&b'\n'))
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | 0xE2)
}

fn starts_value(byte: u8) -> bool {
    is_quote(byte)
        || matches!(byte, b'{' | b'[' | b']' | b'-' | b',' | b'/' | b'#')
        || byte.is_ascii_alphanumeric()
}

/// Whether this is `key:` or `"key":`.
fn starts_key(bytes: &[u8]) -> bool {
    match bytes.first() {
        Some(quote @ (b'"' | b'\'')) => {
            let inside = bytes.get(1..).unwrap_or(&[]);
            let Some(end) = inside.iter().position(|b| b == quote || *b == b'\n') else {
                // A long key may end beyond what we look at; a cut-off one at the end of the text.
                return true;
            };
            skip_space(inside.get(end + 1..).unwrap_or(&[])).first().is_none_or(|b| *b == b':')
        }
        Some(0xE2) => true,
        Some(b) if b.is_ascii_alphabetic() || *b == b'_' => {
            let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-';
            let end = bytes.iter().position(|b| !is_word(b)).unwrap_or(bytes.len());
            skip_space(bytes.get(end..).unwrap_or(&[])).first() == Some(&b':')
        }
        _ => false,
    }
}
