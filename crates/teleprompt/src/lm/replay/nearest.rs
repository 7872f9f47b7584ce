//! Which recorded request is nearest to one that was not recorded, and how they differ.

use serde_json::{Map, Value};
use teleprompt_core::Message;

use super::file::Asked;

/// Most characters of a value that are shown.
const SHOWN: usize = 60;
/// Most differences that are named.
const NAMED: usize = 4;

/// How the nearest of the recorded requests differs, in words; `None` if there is none.
pub(super) fn difference(asked: &Asked, recorded: &[Asked]) -> Option<String> {
    let all = recorded.iter().map(|r| differences(r, asked));
    // Fewest parts that differ; then the longest texts in common.
    let nearest = all.min_by_key(|d| (d.len(), usize::MAX - common(d)))?;
    if nearest.is_empty() {
        return Some("in the values of extra_body, which are not recorded".into());
    }
    let mut named: Vec<String> = nearest.iter().take(NAMED).map(Difference::in_words).collect();
    if nearest.len() > NAMED {
        named.push(format!("and {} more", nearest.len() - NAMED));
    }
    Some(named.join("; "))
}

struct Difference {
    what: String,
    recorded: Option<String>,
    asked: Option<String>,
}

impl Difference {
    /// Characters that both begin with.
    fn common(&self) -> usize {
        let (a, b) = (self.recorded.as_deref(), self.asked.as_deref());
        let pairs = a.unwrap_or_default().chars().zip(b.unwrap_or_default().chars());
        pairs.take_while(|(a, b)| a == b).count()
    }

    fn in_words(&self) -> String {
        // Shown from shortly before the first difference on.
        let from = self.common().saturating_sub(SHOWN / 3);
        let show = |text: &Option<String>| match text {
            None => "nothing".to_owned(),
            Some(text) => format!("`{}`", excerpt(text, from)),
        };
        let Self { what, recorded, asked } = self;
        format!("{what}: {} was recorded, {} is asked", show(recorded), show(asked))
    }
}

fn common(differences: &[Difference]) -> usize {
    differences.iter().map(Difference::common).sum()
}

fn excerpt(text: &str, from: usize) -> String {
    let mut shown: String = if from > 0 { "…".into() } else { String::new() };
    shown.extend(text.chars().skip(from).take(SHOWN).map(|c| if c == '\n' { '⏎' } else { c }));
    if text.chars().count() > from + SHOWN {
        shown.push('…');
    }
    shown
}

fn differences(recorded: &Asked, asked: &Asked) -> Vec<Difference> {
    let mut found = Vec::new();
    for i in 0..recorded.messages.len().max(asked.messages.len()) {
        let (a, b) = (recorded.messages.get(i), asked.messages.get(i));
        if a != b {
            let (recorded, asked) = (a.map(|m| content(m, b)), b.map(|m| content(m, a)));
            found.push(Difference { what: format!("message {}", i + 1), recorded, asked });
        }
    }
    let settings = |asked: &Asked| match serde_json::to_value(&asked.settings) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    };
    compare(&settings(recorded), &settings(asked), &mut found);
    compare(&recorded.rest, &asked.rest, &mut found);
    found
}

/// A message in one text; with its role and parts where the texts do not show the difference.
fn content(message: &Message, other: Option<&Message>) -> String {
    let plain = message.content.is_text()
        && other.is_none_or(|o| o.role == message.role && o.content.is_text());
    match plain {
        true => message.content.to_string(),
        false => serde_json::to_string(message).unwrap_or_default(),
    }
}

fn compare(recorded: &Map<String, Value>, asked: &Map<String, Value>, found: &mut Vec<Difference>) {
    let new = asked.keys().filter(|name| !recorded.contains_key(*name));
    for name in recorded.keys().chain(new) {
        let (a, b) = (recorded.get(name), asked.get(name));
        if a != b {
            let (recorded, asked) = (a.map(Value::to_string), b.map(Value::to_string));
            found.push(Difference { what: name.clone(), recorded, asked });
        }
    }
}
