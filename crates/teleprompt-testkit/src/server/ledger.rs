//! What came in and what went out whole.

use std::collections::HashMap;

use serde_json::Value;

use super::Request;

/// The story of one logical request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The header `x-request-tag`; without it the text of the last user message; without that the
    /// method and the path.
    pub tag: String,
    /// How often it came.
    pub arrived: u64,
    /// How often a good answer to it was written whole: its last byte was handed to the operating
    /// system and the connection not reset. Errors and faults no client can use do not count.
    pub answered_whole: u64,
    /// How often it came again after a good answer to it had been written whole.
    pub asked_again: u64,
    /// The HTTP status of the last reply that was begun; 0 if there was none.
    pub status_of_last: u16,
}

/// Entries in the order of their first arrival.
#[derive(Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    places: HashMap<String, usize>,
}

impl Ledger {
    /// Notes an arrival; the place is for [`Ledger::replied`].
    pub(super) fn arrived(&mut self, tag: String) -> usize {
        let place = *self.places.entry(tag).or_insert_with_key(|tag| {
            self.entries.push(Entry { tag: tag.clone(), ..Entry::default() });
            self.entries.len() - 1
        });
        if let Some(entry) = self.entries.get_mut(place) {
            entry.arrived += 1;
            entry.asked_again += u64::from(entry.answered_whole > 0);
        }
        place
    }

    pub(super) fn replied(&mut self, place: usize, status: u16, good_and_whole: bool) {
        if let Some(entry) = self.entries.get_mut(place) {
            entry.status_of_last = status;
            entry.answered_whole += u64::from(good_and_whole);
        }
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        self.entries.clone()
    }
}

/// What makes requests one logical request.
pub(super) fn tag(request: &Request) -> String {
    if let Some(tag) = request.header("x-request-tag") {
        return tag.to_owned();
    }
    let body = request.json();
    let text =
        ["messages", "input", "contents"].iter().find_map(|name| last_user(body.get(*name)?));
    text.unwrap_or_else(|| format!("{} {}", request.method, request.path))
}

fn last_user(messages: &Value) -> Option<String> {
    if let Some(input) = messages.as_str() {
        return Some(input.to_owned());
    }
    let user = |m: &&Value| m.get("role").is_none_or(|role| role == "user");
    let last = messages.as_array()?.iter().rev().find(user)?;
    let content = last.get("content").or_else(|| last.get("parts"))?;
    if let Some(text) = content.as_str() {
        return Some(text.to_owned());
    }
    let texts = content.as_array()?.iter().filter_map(|part| part.get("text")?.as_str());
    Some(texts.collect())
}
