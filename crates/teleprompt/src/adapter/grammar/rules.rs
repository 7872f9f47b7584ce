//! Terminals and rules, each written once.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use serde_json::Value;

use super::number;
use crate::parse::write::{compact, write_text};
use crate::{Constraints, Kind, ObjectField, Type, TypeDefs};

/// A character inside of a JSON text, as we write it.
const CHAR: &str = r#"([^"\\\x00-\x1f\x7f]|\\["\\nt]|\\u00[01][0-9a-f]|\\u007f)"#;

/// Days of the calendar.
const DATE: &str = concat!(
    "[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)",
    "|02-(0[1-9]|1[0-9]|2[0-8]))",
    "|([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[048]|[2468][048]|[13579][26])00)-02-29"
);

/// A number without exponent; at most 17 digits of a fraction count.
const FLOAT: &str = r"-?(0|[1-9][0-9]{0,307})(\.0{0,323}[0-9]{1,17})?";

pub(super) struct Rules<'d> {
    pub(super) defs: &'d TypeDefs,
    /// Definitions by name, in the order of their names.
    lines: BTreeMap<String, String>,
    /// Rules of named types that are written or being written.
    named: BTreeMap<Arc<str>, String>,
}

/// A text as a literal of the grammar.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::new();
    write_text(&mut out, text);
    out
}

fn regex(pattern: &str) -> String {
    format!("/{}/", pattern.replace('/', "\\/"))
}

impl<'d> Rules<'d> {
    pub(super) fn new(defs: &'d TypeDefs) -> Self {
        Self { defs, lines: BTreeMap::new(), named: BTreeMap::new() }
    }

    /// The whole grammar.
    pub(super) fn finish(self, start: &str) -> String {
        let mut out = format!("{start}\n");
        for line in self.lines.values() {
            let _ = writeln!(out, "{line}");
        }
        out
    }

    /// A rule with a name of its own.
    pub(super) fn add_rule(&mut self, stem: &str, attributes: &str, body: &str) -> String {
        let name = format!("{stem}_{}", self.lines.len());
        self.lines.insert(name.clone(), format!("{name}{attributes}: {body}"));
        name
    }

    fn terminal(&mut self, name: &str, body: &str) -> String {
        self.lines.entry(name.to_owned()).or_insert_with(|| format!("{name}: {body}"));
        name.to_owned()
    }

    /// A terminal with a name of its own, shared by equal bodies.
    fn unnamed(&mut self, stem: &str, body: &str) -> String {
        let tail = format!(": {body}");
        let known = self.lines.iter().find(|(n, l)| n.starts_with(stem) && l.ends_with(&tail));
        if let Some((name, _)) = known {
            return name.clone();
        }
        let name = format!("{stem}_{}", self.lines.len());
        self.terminal(&name, body)
    }

    /// Text: not blank, and no line of it opens like a marker.
    pub(super) fn text(&mut self) -> String {
        let marker = r"/\[\[ ##(?s:.*)/ | /(?s:.*)\n\[\[ ##(?s:.*)/";
        self.terminal("TEXT", &format!(r"/\S(?s:.*)/ & ~({marker})"))
    }

    /// Text with limits: plain, or in quotes where it could not be read back otherwise.
    pub(super) fn limited_text(&mut self, limits: &Constraints, nullable: bool) -> String {
        let text = self.text();
        let mut parts = vec![text, r"/(?s:.*)\S/".to_owned()];
        parts.extend(counted("(?s:.)", limits).map(|r| regex(&r)));
        let pattern = limits.pattern.as_deref().filter(|p| number::is_expressible(p));
        parts.extend(pattern.map(|p| regex(&format!("({p})"))));
        let mut all = vec![parts.join(" & ")];
        if limits.pattern.is_none() {
            all.push(self.quoted(limits));
        }
        if nullable {
            all.push("\"null\"".to_owned());
        }
        self.unnamed("LIMITED", &all.join(" | "))
    }

    /// A JSON text with limits of its length.
    fn quoted(&mut self, limits: &Constraints) -> String {
        let Some(inside) = counted(CHAR, limits) else {
            return self.terminal("QUOTED", &regex(&format!("\"{CHAR}*\"")));
        };
        self.unnamed("QUOTED", &regex(&format!("\"{inside}\"")))
    }

    pub(super) fn date(&mut self) -> String {
        self.terminal("DATE", &regex(DATE))
    }

    /// A value in JSON.
    pub(super) fn json(&mut self, ty: &Type) -> String {
        if let Some(values) = ty.choices() {
            let all: Vec<_> = values.iter().map(|v| literal(&compact(v))).collect();
            return all.join(" | ");
        }
        let limits = &ty.constraints;
        match &ty.kind {
            Kind::Str => self.json_text(limits),
            Kind::Int => self.unnamed("INT", &regex(&number::whole(limits))),
            Kind::Float => self.float(limits),
            Kind::Bool => "\"true\" | \"false\"".into(),
            Kind::Date => {
                let date = self.date();
                self.unnamed("QUOTED_DATE", &format!("\"\\\"\" {date} \"\\\"\""))
            }
            Kind::List(item) => {
                let item = self.grouped(item);
                sequence("[", &item, "]", limits)
            }
            Kind::Dict(value) => {
                let value = self.grouped(value);
                let key = self.quoted(&Constraints::default());
                sequence("{", &format!("({key} \": \" {value})"), "}", limits)
            }
            Kind::Tuple(items) => {
                let items: Vec<_> = items.iter().map(|t| self.grouped(t)).collect();
                format!("\"[\" {} \"]\"", items.join(" \", \" "))
            }
            Kind::Object(fields) => self.object(fields),
            Kind::Optional(inner) => format!("{} | \"null\"", self.json(inner)),
            Kind::Union(arms) => {
                let arms: Vec<_> = arms.iter().map(|t| self.json(t)).collect();
                arms.join(" | ")
            }
            Kind::Ref(name) => self.reference(name),
            _ => self.any(),
        }
    }

    fn grouped(&mut self, ty: &Type) -> String {
        format!("({})", self.json(ty))
    }

    fn json_text(&mut self, limits: &Constraints) -> String {
        match limits.pattern.as_deref().filter(|p| number::is_expressible(p)) {
            // Escapes change what a pattern sees; llguidance knows how to combine the two.
            Some(pattern) => {
                let mut schema = serde_json::Map::new();
                schema.insert("type".into(), "string".into());
                schema.insert("pattern".into(), format!("^(?:{pattern})$").into());
                schema.extend(limits.min_len.map(|n| ("minLength".to_owned(), n.into())));
                schema.extend(limits.max_len.map(|n| ("maxLength".to_owned(), n.into())));
                self.add_rule("pattern", "", &format!("%json {}", Value::Object(schema)))
            }
            None => self.quoted(limits),
        }
    }

    fn float(&mut self, limits: &Constraints) -> String {
        let float = self.terminal("FLOAT", &regex(FLOAT));
        match number::range(limits) {
            Some(range) => self.unnamed("RANGE", &format!("{float} & {}", regex(&range))),
            None => float,
        }
    }

    fn object(&mut self, fields: &[ObjectField]) -> String {
        // Brackets, keys and colons are tokens of their own: the lexer takes the longest one, so that
        // `{"name": ` as one token would shut out a map that begins with `{` in the same union.
        let field = |rules: &mut Self, f: &ObjectField| {
            let key = literal(&compact(&Value::from(&*f.name)));
            format!("{key} \": \" {}", rules.grouped(&f.ty))
        };
        let fields: Vec<_> = fields.iter().map(|f| field(self, f)).collect();
        format!("\"{{\" {} \"}}\"", fields.join(" \", \" "))
    }

    fn reference(&mut self, name: &Arc<str>) -> String {
        if let Some(rule) = self.named.get(name) {
            return rule.clone();
        }
        let Some(target) = self.defs.get(name) else {
            return self.any();
        };
        let rule = format!("type_{}", self.named.len());
        self.named.insert(name.clone(), rule.clone());
        let body = self.json(target);
        self.lines.insert(rule.clone(), format!("{rule}: {body}"));
        rule
    }

    fn any(&mut self) -> String {
        let text = self.quoted(&Constraints::default());
        let number = self.float(&Constraints::default());
        let none = Constraints::default();
        let list = sequence("[", "any", "]", &none);
        let map = sequence("{", &format!("({text} \": \" any)"), "}", &none);
        let body = format!("{text} | {number} | \"true\" | \"false\" | \"null\" | {list} | {map}");
        self.lines.entry("any".into()).or_insert_with(|| format!("any: {body}"));
        "any".into()
    }
}

/// `(char){2,5}`; `None` if the length is free.
fn counted(char: &str, limits: &Constraints) -> Option<String> {
    match (limits.min_len, limits.max_len) {
        (None, None) => None,
        (low, None) => Some(format!("{char}{{{},}}", low.unwrap_or(0))),
        (low, Some(high)) => Some(format!("{char}{{{},{high}}}", low.unwrap_or(0))),
    }
}

/// Items between brackets, with commas, as many as the limits allow.
fn sequence(open: &str, item: &str, close: &str, limits: &Constraints) -> String {
    let (open, close) = (literal(open), literal(close));
    let least = limits.min_len.unwrap_or(0);
    let more = least.saturating_sub(1);
    let tail = match limits.max_len {
        Some(0) => return format!("{open} {close}"),
        Some(1) => String::new(),
        Some(most) => format!("(\", \" {item}){{{more},{}}}", most - 1),
        None if more == 0 => format!("(\", \" {item})*"),
        None => format!("(\", \" {item}){{{more},}}"),
    };
    match least {
        0 => format!("{open} ({item} {tail})? {close}"),
        _ => format!("{open} {item} {tail} {close}"),
    }
}
