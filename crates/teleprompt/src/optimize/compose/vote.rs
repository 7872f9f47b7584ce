//! How several predictions become one.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use teleprompt_core::{Error, Record, Result};

use crate::evaluate::metrics::{plain_number, same};
use crate::optimize::search::named;

/// Which of several predictions is taken. It is always one of them as it was given, so that its
/// fields belong together: no field is ever replaced by an average.
///
/// As JSON: `{"majority": {"field": "answer"}}`, `{"mean": {"field": "score"}}`, `"first"`. In
/// settings a bare name has the defaults: `"mean"` is `{"mean": {}}`.
///
/// ```
/// use teleprompt::optimize::compose::Vote;
/// use teleprompt::record;
/// let outputs = [record! { city: "Rome" }, record! { city: "Paris" }, record! { city: "paris." }];
/// assert_eq!(Vote::default().choose(&outputs), Some(1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case", deny_unknown_fields)]
pub enum Vote {
    /// The most frequent value. Values are the same as metrics see it: texts normalised
    /// ([`normalize`](crate::evaluate::metrics::normalize)), numbers by value. The first prediction
    /// with that value is taken; of values with equally many votes, the one that came first.
    Majority {
        /// The output that is compared; none: all of them except `reasoning`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
    /// The prediction whose number is nearest to the mean of all; of equally near ones the first.
    Mean {
        /// The output that is the number; none: the first output that is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
    /// The prediction whose number is nearest to the median of all (of an even number of them, the
    /// mean of the two in the middle); of equally near ones the first.
    Median {
        /// The output that is the number; none: the first output that is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
    /// The first one that did not fail.
    First,
}

/// The majority by all outputs.
impl Default for Vote {
    fn default() -> Self {
        Self::Majority { field: None }
    }
}

impl Serialize for Vote {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Vote::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Vote {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        named(deserializer, Vote::deserialize)
    }
}

impl Vote {
    /// The majority by one output.
    pub fn majority(field: impl Into<String>) -> Self {
        Self::Majority { field: Some(field.into()) }
    }

    /// The place of the output that is taken. A record without the field, or without a number in it
    /// where one is needed, has no vote; `None`: no one has.
    pub fn choose(&self, outputs: &[Record]) -> Option<usize> {
        match self {
            Self::Majority { field } => majority(outputs, field.as_deref()),
            Self::Mean { field } => {
                let numbers = numbers(outputs, field.as_deref());
                let sum: f64 = numbers.iter().map(|(_, x)| x).sum();
                nearest(&numbers, sum / numbers.len() as f64)
            }
            Self::Median { field } => {
                let numbers = numbers(outputs, field.as_deref());
                nearest(&numbers, median(&numbers)?)
            }
            Self::First => (!outputs.is_empty()).then_some(0),
        }
    }

    /// Like [`Vote::choose`].
    ///
    /// # Errors
    /// [`Error::Other`]: no record has a vote; the message says what was looked for.
    pub fn winner(&self, outputs: &[Record]) -> Result<usize> {
        self.choose(outputs).ok_or_else(|| {
            let there: Vec<&str> = outputs.first().into_iter().flat_map(Record::names).collect();
            let wanted = match self {
                Self::Mean { field: Some(field) } | Self::Median { field: Some(field) } => {
                    format!("a number in `{field}`")
                }
                Self::Mean { field: None } | Self::Median { field: None } => "a number".into(),
                Self::Majority { field: Some(field) } => format!("an output `{field}`"),
                Self::Majority { field: None } | Self::First => "an output".into(),
            };
            Error::Other(format!(
                "the vote needs {wanted}, which none of {} predictions has (outputs: {}); vote on \
                 another field",
                outputs.len(),
                there.join(", ")
            ))
        })
    }
}

fn majority(outputs: &[Record], field: Option<&str>) -> Option<usize> {
    // Each value by the first output that has it, with its votes.
    let mut values: Vec<(usize, &Record, usize)> = Vec::new();
    for (i, output) in outputs.iter().enumerate() {
        if field.is_some_and(|f| !output.contains(f)) {
            continue;
        }
        match values.iter_mut().find(|(_, first, _)| agree(first, output, field)) {
            Some((_, _, votes)) => *votes += 1,
            None => values.push((i, output, 1)),
        }
    }
    values.into_iter().reduce(|best, next| if next.2 > best.2 { next } else { best }).map(|v| v.0)
}

fn agree(a: &Record, b: &Record, field: Option<&str>) -> bool {
    if let Some(field) = field {
        return same(&a[field], &b[field]);
    }
    let counted = |r: &Record| r.names().filter(|n| *n != "reasoning").count();
    counted(a) == counted(b)
        && a.iter()
            .filter(|(name, _)| &***name != "reasoning")
            .all(|(name, value)| b.get(name).is_some_and(|other| same(value, other)))
}

fn numbers(outputs: &[Record], field: Option<&str>) -> Vec<(usize, f64)> {
    let number = |value: &Value| match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => plain_number(text),
        _ => None,
    };
    // One output for all: numbers of different ones are no votes on the same thing.
    let first = || {
        let fields = outputs.iter().flat_map(Record::iter);
        fields.filter(|(_, value)| number(value).is_some()).map(|(name, _)| &**name).next()
    };
    let Some(field) = field.or_else(first) else { return Vec::new() };
    let all = outputs.iter().enumerate();
    all.filter_map(|(i, output)| Some((i, number(output.get(field)?)?))).collect()
}

fn median(numbers: &[(usize, f64)]) -> Option<f64> {
    let mut sorted: Vec<f64> = numbers.iter().map(|(_, x)| *x).collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    match sorted.len() % 2 {
        0 => Some(f64::midpoint(*sorted.get(middle - 1)?, upper)),
        _ => Some(upper),
    }
}

fn nearest(numbers: &[(usize, f64)], centre: f64) -> Option<usize> {
    let far = |x: f64| (x - centre).abs();
    let first = numbers.iter().reduce(|best, n| if far(n.1) < far(best.1) { n } else { best });
    first.map(|(i, _)| *i)
}
