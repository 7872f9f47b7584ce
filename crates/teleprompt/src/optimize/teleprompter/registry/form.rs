//! What values a setting takes: to explain it, and to refuse what has no meaning before anything
//! is spent.

use serde_json::Value;
use teleprompt_core::names::closest;

/// A setting, or a part of one.
pub(in crate::optimize) struct Row {
    pub name: &'static str,
    /// What it sets, in a line.
    pub about: &'static str,
    pub form: Form,
}

/// What values fit.
pub(in crate::optimize) enum Form {
    /// A whole number, at least this.
    Whole(u64),
    /// A number between these, both included.
    Number(f64, f64),
    Flag,
    Text,
    Texts,
    /// Texts by name.
    Map,
    /// A recipe: a name, or `{"name": …, "settings": {…}}`.
    Recipe,
    /// At least one recipe.
    Recipes,
    /// An object of these.
    Group(&'static [Row]),
    /// One of these names; some take a value or settings of their own.
    Choice(&'static [(&'static str, Option<Form>)]),
}

pub(super) const fn row(name: &'static str, about: &'static str, form: Form) -> Row {
    Row { name, about, form }
}

impl Form {
    /// The values that fit, for people.
    pub fn expected(&self) -> String {
        match self {
            Self::Whole(0) => "a whole number".into(),
            Self::Whole(least) => format!("a whole number of {least} or more"),
            Self::Number(low, high) if low.is_infinite() && high.is_infinite() => "a number".into(),
            Self::Number(low, high) if high.is_infinite() => format!("a number of {low} or more"),
            Self::Number(low, high) => format!("a number from {low} to {high}"),
            Self::Flag => "true or false".into(),
            Self::Text => "a text".into(),
            Self::Texts => "a list of texts".into(),
            Self::Map => "an object of texts".into(),
            Self::Recipe => "an optimizer's name, or {\"name\": …, \"settings\": {…}}".into(),
            Self::Recipes => "a list of at least one optimizer".into(),
            Self::Group(rows) => {
                let name = |row: &Row| format!("\"{}\": …", row.name);
                format!("any of {{{}}}", rows.iter().map(name).collect::<Vec<_>>().join(", "))
            }
            Self::Choice(all) => all.iter().map(choice).collect::<Vec<_>>().join(", "),
        }
    }

    /// What is wrong with a value; `what` names the setting. `null` is for serde to judge: it
    /// stands for "not set" where there is such a thing.
    pub fn check(&self, what: &str, value: &Value) -> Result<(), String> {
        let fits = match (self, value) {
            (_, Value::Null) => true,
            (Self::Whole(least), value) => value.as_u64().is_some_and(|n| n >= *least),
            (Self::Number(low, high), value) => {
                value.as_f64().is_some_and(|x| (*low..=*high).contains(&x))
            }
            (Self::Flag, value) => value.is_boolean(),
            (Self::Text, value) => value.is_string(),
            (Self::Texts, Value::Array(all)) => all.iter().all(Value::is_string),
            (Self::Map, Value::Object(map)) => map.values().all(Value::is_string),
            (Self::Recipe, value) => value.is_string() || value.is_object(),
            (Self::Recipes, Value::Array(all)) => !all.is_empty(),
            (Self::Group(rows), Value::Object(map)) => {
                return map.iter().try_for_each(|(name, value)| part(rows, what, name, value));
            }
            (Self::Choice(all), value) => return chosen(all, what, value, &self.expected()),
            _ => false,
        };
        if fits { Ok(()) } else { Err(wrong(what, value, &self.expected())) }
    }
}

fn wrong(what: &str, value: &Value, expected: &str) -> String {
    format!("{what}={value}: expected {expected}")
}

fn choice((name, of): &(&'static str, Option<Form>)) -> String {
    match of {
        None => (*name).to_owned(),
        Some(Form::Group(rows)) => {
            let part = |row: &Row| row.name;
            format!("{name} ({})", rows.iter().map(part).collect::<Vec<_>>().join(", "))
        }
        Some(Form::Text) => format!("{{\"{name}\": TEXT}}"),
        Some(_) => format!("{{\"{name}\": N}}"),
    }
}

fn part(rows: &[Row], what: &str, name: &str, value: &Value) -> Result<(), String> {
    match rows.iter().find(|row| row.name == name) {
        Some(row) => row.form.check(&format!("{what}.{name}"), value),
        None => {
            let names = || rows.iter().map(|row| row.name);
            let guess = closest(name, names()).map(|n| format!("; did you mean `{n}`?"));
            let all = names().collect::<Vec<_>>().join(", ");
            let guess = guess.unwrap_or_default();
            Err(format!("{what} has no `{name}`{guess} (there is: {all})"))
        }
    }
}

fn chosen(
    all: &[(&'static str, Option<Form>)],
    what: &str,
    value: &Value,
    expected: &str,
) -> Result<(), String> {
    let (name, of) = match value {
        Value::String(name) => (name, None),
        Value::Object(map) if map.len() == 1 => match map.iter().next() {
            Some((name, of)) => (name, Some(of)),
            None => return Err(wrong(what, value, expected)),
        },
        _ => return Err(wrong(what, value, expected)),
    };
    let form = all.iter().find(|(known, _)| known == name).map(|(_, form)| form);
    match (form, of) {
        // A bare name has the defaults, where there are any.
        (Some(None | Some(Form::Group(_))), None) => Ok(()),
        (Some(Some(form)), Some(of)) => form.check(&format!("{what}.{name}"), of),
        _ => Err(wrong(what, value, expected)),
    }
}
