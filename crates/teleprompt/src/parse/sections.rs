//! Sections of a reply: `[[ ## name ## ]]` and the text below it.

/// A section of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'t> {
    /// The name in its marker, as it stands there.
    pub name: &'t str,
    /// The text from the marker to the next one, without white space at its ends.
    pub body: &'t str,
    /// Whether the marker was in exactly the form that was asked for.
    pub exact: bool,
}

/// A reply taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sections<'t> {
    /// What stands before the first marker.
    pub before: &'t str,
    /// The sections in the order of the reply.
    pub all: Vec<Section<'t>>,
}

const OPEN: &str = "[[ ## ";
const CLOSE: &str = " ## ]]";

/// Whether a line of this text could be taken for a marker.
pub(crate) fn has_marker_line(text: &str) -> bool {
    text.contains("[[ ##")
        && text.match_indices("[[ ##").any(|(at, _)| {
            text.as_bytes().get(at.wrapping_sub(1)).is_none_or(|before| *before == b'\n')
        })
}

/// Appends a marker and the line break below it.
pub(crate) fn write_marker(out: &mut String, name: &str) {
    out.push_str(OPEN);
    out.push_str(name);
    out.push_str(CLOSE);
    out.push('\n');
}

/// The next marker in the exact form: its start, its name, and where its text begins. Whether the
/// text itself begins a line is for the caller to know.
pub(crate) fn next_marker(
    text: &str,
    from: usize,
    begins_line: bool,
) -> Option<(usize, &str, usize)> {
    let mut from = from;
    loop {
        let start = from + text.get(from..)?.find(OPEN)?;
        from = start + OPEN.len();
        let at_line_start = match start.checked_sub(1) {
            None => begins_line,
            Some(before) => text.as_bytes().get(before) == Some(&b'\n'),
        };
        if !at_line_start {
            continue;
        }
        let name_len = text.get(from..)?.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
        let name = text.get(from..from + name_len)?;
        let end = from + name_len;
        if name_len > 0 && text.get(end..)?.starts_with(CLOSE) {
            return Some((start, name, end + CLOSE.len()));
        }
    }
}

/// Where the begin of a marker stands at the end of this text, which more text could complete.
pub(crate) fn could_begin_marker(text: &str, begins_line: bool) -> Option<usize> {
    let start = match text.rfind('\n') {
        Some(at) => at + 1,
        None if begins_line => 0,
        None => return None,
    };
    let line = text.get(start..)?;
    let could = match line.strip_prefix(OPEN) {
        None => OPEN.starts_with(line),
        Some(rest) => {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            end.is_none_or(|end| end > 0 && rest.get(end..).is_some_and(|r| CLOSE.starts_with(r)))
        }
    };
    could.then_some(start)
}

/// Takes a reply apart at markers in the exact form, at the start of a line. Any name ends the
/// section before it.
///
/// ```
/// use teleprompt::parse::sections::exact;
/// let found = exact("[[ ## a ## ]]\n1\n\n[[ ## b ## ]]\n2");
/// let pairs: Vec<_> = found.all.iter().map(|s| (s.name, s.body)).collect();
/// assert_eq!(pairs, [("a", "1"), ("b", "2")]);
/// ```
pub fn exact(text: &str) -> Sections<'_> {
    let mut marker = next_marker(text, 0, true);
    let before = text.get(..marker.map_or(text.len(), |(at, ..)| at)).unwrap_or("");
    let mut all = Vec::with_capacity(4);
    while let Some((_, name, from)) = marker {
        marker = next_marker(text, from, true);
        let end = marker.map_or(text.len(), |(at, ..)| at);
        let body = text.get(from..end).unwrap_or("").trim();
        all.push(Section { name, body, exact: true });
    }
    Sections { before, all }
}

/// Takes a reply apart at markers in any form that models write: other spacing, emphasis or white
/// space around the marker, headings (`## answer`), and `answer:` at the start of a line. Headings
/// and words before a colon count only if they are one of `names`.
///
/// ```
/// use teleprompt::parse::sections::loose;
/// let found = loose("**Answer:** 42", &["answer"]);
/// assert_eq!((found.all[0].name, found.all[0].body), ("Answer", "42"));
/// ```
pub fn loose<'t>(text: &'t str, names: &[&str]) -> Sections<'t> {
    let mut sections = Sections { before: text, all: Vec::new() };
    let mut open: Option<(&str, usize, bool)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some((name, inline, exact)) = marker_line(line, names) {
            match open.take() {
                Some(section) => close(&mut sections, text, section, at),
                None => sections.before = text.get(..at).unwrap_or(""),
            }
            open = Some((name, at + inline, exact));
        }
        at += line.len();
    }
    if let Some(section) = open {
        close(&mut sections, text, section, text.len());
    }
    sections
}

fn close<'t>(
    sections: &mut Sections<'t>,
    text: &'t str,
    (name, from, exact): (&'t str, usize, bool),
    end: usize,
) {
    let body = text.get(from..end).unwrap_or("").trim();
    sections.all.push(Section { name, body, exact });
}

/// The name in a line that is a marker, where the text behind it begins, and whether it is exact.
fn marker_line<'t>(line: &'t str, names: &[&str]) -> Option<(&'t str, usize, bool)> {
    if let Some((0, name, end)) = next_marker(line, 0, true) {
        return Some((name, end, true));
    }
    let bare = line.trim_start_matches(|c: char| c.is_whitespace() || "*_`>".contains(c));
    let found = if bare.starts_with("[[") {
        bracketed(bare)
    } else {
        heading(bare).or_else(|| labelled(bare)).filter(|(name, _)| is_one_of(name, names))
    };
    let (name, rest) = found?;
    let emphasis = |c: char| "*_`".contains(c);
    let rest = rest.trim_start_matches(emphasis);
    Some((name, line.len() - rest.len(), false))
}

/// `[[## name ##]]` with any spacing.
fn bracketed(line: &str) -> Option<(&str, &str)> {
    let (inside, rest) = line.strip_prefix("[[")?.split_once("]]")?;
    let name = inside.trim().strip_prefix('#')?.trim_matches('#').trim();
    is_name(name).then_some((name, rest))
}

/// `## name`, `### name: text`.
fn heading(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix('#')?.trim_start_matches('#');
    let end = rest.find([':', '\n']).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let name = name.trim().trim_end_matches('#').trim_matches(|c: char| " *_`".contains(c));
    Some((name, rest.strip_prefix(':').unwrap_or(rest)))
}

/// `name: text`, `**name**: text`, `**name:** text`.
fn labelled(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once(':')?;
    Some((name.trim_matches(|c: char| " *_`".contains(c)), rest))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_- ".contains(c))
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|n| same_name(n, name))
}

/// Whether a name in a reply is this field's: case, spaces and hyphens do not count.
pub(crate) fn same_name(field: &str, found: &str) -> bool {
    let plain = |c: char| match c {
        ' ' | '-' => '_',
        c => c.to_ascii_lowercase(),
    };
    found.len() <= field.len() + 8 && field.chars().map(plain).eq(found.chars().map(plain))
}
