//! Lists and tuples.

use serde_json::Value;

use super::{Cx, Outcome, collect, prefixed, problem, unfit};
use crate::{Repair, Type};

impl Cx<'_> {
    pub(super) fn list_from_json(&mut self, node: &Value, item: &Type, ty: &Type) -> Outcome {
        match node {
            Value::Array(items) => self.items(items, |_| Some(item)),
            Value::String(s) => self.structure_from_json_text(s, ty),
            _ => {
                let value = self.json(node, item).map_err(|_| unfit(node, ty))?;
                self.flag(Repair::WrappedInList);
                Ok(Value::Array(vec![value]))
            }
        }
    }

    pub(super) fn tuple_from_json(&mut self, node: &Value, types: &[Type], ty: &Type) -> Outcome {
        match node {
            Value::Array(items) if items.len() == types.len() => {
                self.items(items, |i| types.get(i))
            }
            Value::Array(items) => Err(problem(format!("it has {} values", items.len()), ty)),
            Value::String(s) => self.structure_from_json_text(s, ty),
            _ => Err(unfit(node, ty)),
        }
    }

    fn items<'t>(
        &mut self,
        nodes: &[Value],
        type_of: impl Fn(usize) -> Option<&'t Type>,
    ) -> Outcome {
        let mut items = Vec::with_capacity(nodes.len());
        let mut errors = Vec::new();
        for (i, node) in nodes.iter().enumerate() {
            let Some(ty) = type_of(i) else { break };
            match self.json(node, ty) {
                Ok(value) => items.push(value),
                Err(e) => collect(&mut errors, prefixed(&format!("[{i}]"), e)),
            }
        }
        if errors.is_empty() { Ok(Value::Array(items)) } else { Err(errors) }
    }

    /// A list from bullets, numbered lines, lines, or commas; else the text as the only item.
    pub(super) fn list_from_lines(&mut self, text: &str, item: &Type, ty: &Type) -> Outcome {
        if text.is_empty() {
            return Err(problem("it is empty", ty));
        }
        let Some((parts, prose)) = parts(text) else {
            let value = self.text(text, item)?;
            self.flag(Repair::WrappedInList);
            return Ok(Value::Array(vec![value]));
        };
        let items = self.texts(&parts, |_| Some(item))?;
        self.flag(Repair::ListFromText);
        if prose {
            self.flag(Repair::Prose);
        }
        Ok(items)
    }

    pub(super) fn tuple_from_lines(&mut self, text: &str, types: &[Type], ty: &Type) -> Outcome {
        let bare = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).unwrap_or(text);
        let parts = match parts(bare) {
            Some((parts, _)) => parts,
            None => vec![bare.trim().to_owned()],
        };
        if parts.len() != types.len() {
            return Err(problem(format!("it has {} values", parts.len()), ty));
        }
        let items = self.texts(&parts, |i| types.get(i))?;
        self.flag(Repair::ListFromText);
        Ok(items)
    }

    fn texts<'t>(
        &mut self,
        parts: &[String],
        type_of: impl Fn(usize) -> Option<&'t Type>,
    ) -> Outcome {
        let mut items = Vec::with_capacity(parts.len());
        let mut errors = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            let Some(ty) = type_of(i) else { break };
            match self.text(part.trim(), ty) {
                Ok(value) => items.push(value),
                Err(e) => collect(&mut errors, prefixed(&format!("[{i}]"), e)),
            }
        }
        if errors.is_empty() { Ok(Value::Array(items)) } else { Err(errors) }
    }
}

/// The parts of a text that looks like a list, and whether text around them was dropped.
fn parts(text: &str) -> Option<(Vec<String>, bool)> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    if lines.iter().any(|l| bullet(l).is_some()) {
        return Some(bulleted(&lines));
    }
    if lines.len() > 1 {
        let bare = |l: &&str| l.trim_end_matches(',').to_owned();
        return Some((lines.iter().map(bare).collect(), false));
    }
    let separator = [';', ','].into_iter().find(|c| text.contains(*c))?;
    let parts = text.trim_end_matches(separator).split(separator).map(str::trim);
    let last_and = |p: &str| p.strip_prefix("and ").unwrap_or(p).trim().to_owned();
    Some((parts.filter(|p| !p.is_empty()).map(last_and).collect(), false))
}

/// Lines with bullets; a line without one goes on with the item above, or is prose before them.
fn bulleted(lines: &[&str]) -> (Vec<String>, bool) {
    let mut items: Vec<String> = Vec::new();
    let mut prose = false;
    for line in lines {
        match (bullet(line), items.last_mut()) {
            (Some(item), _) => items.push(item.to_owned()),
            (None, Some(last)) => {
                last.push(' ');
                last.push_str(line);
            }
            (None, None) => prose = true,
        }
    }
    (items, prose)
}

/// The text behind `- `, `* `, `• `, `1. `, `2) `.
fn bullet(line: &str) -> Option<&str> {
    if let Some(rest) = ["- ", "* ", "• ", "– ", "+ "].iter().find_map(|b| line.strip_prefix(b))
    {
        return Some(rest.trim());
    }
    let digits = line.find(|c: char| !c.is_ascii_digit())?;
    let rest = line.get(digits..).filter(|_| (1..=3).contains(&digits))?;
    let rest = rest.strip_prefix(['.', ')'])?;
    rest.starts_with(' ').then(|| rest.trim())
}
