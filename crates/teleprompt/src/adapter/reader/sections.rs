//! Sections with markers, piece by piece.

use std::collections::HashSet;

use crate::parse::coerce_text;
use crate::parse::sections::{could_begin_marker, next_marker, same_name};
use crate::{Field, FieldPiece, FieldReader, Kind, Signature};

/// Tells the body of each section as it comes. White space at its ends is held back, and so is the
/// begin of what may be a marker.
pub(in super::super) struct SectionReader<'a> {
    signature: &'a Signature,
    /// What has come and is not decided yet.
    buffer: String,
    /// Whether the buffer begins a line.
    at_line_start: bool,
    open: Option<Open<'a>>,
    done: HashSet<&'a str>,
}

/// The section that is being read.
struct Open<'a> {
    field: &'a Field,
    body: String,
    /// How much of the body was told.
    told: usize,
}

impl<'a> SectionReader<'a> {
    pub fn new(signature: &'a Signature) -> Self {
        Self {
            signature,
            buffer: String::new(),
            at_line_start: true,
            open: None,
            done: HashSet::new(),
        }
    }

    fn take(&mut self, end: usize) -> String {
        let rest = self.buffer.split_off(end);
        let taken = std::mem::replace(&mut self.buffer, rest);
        if let Some(last) = taken.as_bytes().last() {
            self.at_line_start = *last == b'\n';
        }
        taken
    }

    fn open(&mut self, name: &str) {
        let outputs = self.signature.outputs().iter();
        let field = outputs.into_iter().find(|f| same_name(&f.name, name));
        let field = field.filter(|f| !self.done.contains(&*f.name));
        self.open = field.map(|field| Open { field, body: String::new(), told: 0 });
    }

    /// Ends the section that is open.
    fn close(&mut self, pieces: &mut Vec<FieldPiece>) {
        let Some(open) = self.open.take() else { return };
        let Open { field, body, told } = open;
        if body.trim().is_empty() {
            return;
        }
        let Ok(read) = coerce_text(&body, &field.ty, self.signature.defs()) else { return };
        let name = field.name.clone();
        if let Some(text) = read.value.as_str().filter(|t| told == 0 && !t.is_empty()) {
            pieces.push(FieldPiece::Text { field: name.clone(), text: text.to_owned() });
        }
        self.done.insert(&*field.name);
        pieces.push(FieldPiece::Done { field: name, value: read.value });
    }
}

impl Open<'_> {
    /// Takes in more of the body and tells what is certain.
    fn add(&mut self, text: &str, pieces: &mut Vec<FieldPiece>) {
        self.body.push_str(text);
        let begin = self.body.len() - self.body.trim_start().len();
        let end = self.body.trim_end().len();
        let from = self.told.max(begin);
        let Some(new) = self.body.get(from..end).filter(|new| !new.is_empty()) else { return };
        // What quotes mean is known at their end.
        let quoted = |text: &str| text.starts_with(['"', '“']);
        if self.field.ty.kind == Kind::Str && self.body.get(begin..).is_some_and(quoted) {
            return;
        }
        pieces.push(FieldPiece::Text { field: self.field.name.clone(), text: new.to_owned() });
        self.told = end;
    }
}

impl FieldReader for SectionReader<'_> {
    fn feed(&mut self, text: &str) -> Vec<FieldPiece> {
        let mut pieces = Vec::new();
        self.buffer.push_str(text);
        loop {
            let marker = next_marker(&self.buffer, 0, self.at_line_start);
            let Some((start, name, end)) = marker else { break };
            let name = name.to_owned();
            let after = end - start;
            let before = self.take(start);
            if let Some(open) = &mut self.open {
                open.add(&before, &mut pieces);
            }
            self.close(&mut pieces);
            self.take(after);
            self.open(&name);
        }
        let certain = could_begin_marker(&self.buffer, self.at_line_start);
        let certain = self.take(certain.unwrap_or(self.buffer.len()));
        if let Some(open) = &mut self.open {
            open.add(&certain, &mut pieces);
        }
        pieces
    }

    fn finish(&mut self) -> Vec<FieldPiece> {
        let mut pieces = Vec::new();
        let rest = self.take(self.buffer.len());
        if let Some(open) = &mut self.open {
            open.add(&rest, &mut pieces);
        }
        self.close(&mut pieces);
        pieces
    }
}
