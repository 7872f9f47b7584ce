//! Splitting data so that no near-duplicate of a training example is tested.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use teleprompt_core::{Error, Example, Result};

use super::{Dataset, Rng, similar};

/// How much of the data a part gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// So many examples.
    Count(usize),
    /// This part of all examples, from 0 to 1.
    Fraction(f64),
    /// What the other parts leave.
    Rest,
}

/// The parts of a dataset, each in random order.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// What optimizers learn from.
    pub train: Dataset,
    /// What they choose by.
    pub val: Dataset,
    /// What only the last evaluation sees.
    pub test: Dataset,
}

/// Splits a dataset at random, the same way for the same seed on every platform.
///
/// Near-duplicates never stand in different parts: examples whose inputs have a trigram similarity
/// of at least 0.6 ([`similar::groups`]) stay together, also through a chain of others. Sizes are
/// exact as long as single examples can even out what groups take.
#[derive(Clone, Debug, PartialEq)]
pub struct Splitter {
    seed: u64,
    shares: [Share; 3],
    stratify: Option<Arc<str>>,
    similarity: f64,
}

const PARTS: [&str; 3] = ["train", "val", "test"];

impl Splitter {
    /// A splitter with the defaults: 60% train, 20% val, the rest test; not stratified.
    pub fn new(seed: u64) -> Self {
        let shares = [Share::Fraction(0.6), Share::Fraction(0.2), Share::Rest];
        Self { seed, shares, stratify: None, similarity: 0.6 }
    }

    /// The size of the training part. Default: 60%.
    #[must_use]
    pub fn train(mut self, share: Share) -> Self {
        self.shares[0] = share;
        self
    }

    /// The size of the validation part. Default: 20%.
    #[must_use]
    pub fn val(mut self, share: Share) -> Self {
        self.shares[1] = share;
        self
    }

    /// The size of the test part. Default: the rest.
    #[must_use]
    pub fn test(mut self, share: Share) -> Self {
        self.shares[2] = share;
        self
    }

    /// Gives every part the same mix of the values of this field. Default: none.
    #[must_use]
    pub fn stratify(mut self, label: impl Into<Arc<str>>) -> Self {
        self.stratify = Some(label.into());
        self
    }

    /// From which trigram similarity on examples stay together, above 0 and up to 1. Default: 0.6.
    #[must_use]
    pub fn similarity(mut self, threshold: f64) -> Self {
        self.similarity = threshold;
        self
    }

    /// Splits. The text of an example is that of its inputs, or of all fields but the stratified
    /// one where no inputs are marked. Examples that no part asks for are left out.
    ///
    /// # Errors
    /// [`Error::Config`]: shares that make no sense or ask for more than there is.
    /// [`Error::Data`]: no such label, or a part that asked for examples gets none because all are
    /// near-duplicates of others.
    pub fn split(&self, data: &Dataset) -> Result<Split> {
        if !(self.similarity > 0.0 && self.similarity <= 1.0) {
            let given = self.similarity;
            return Err(Error::Config(format!("similarity must be in (0, 1], not {given}")));
        }
        let sizes = self.sizes(data.len())?;
        let labels = self.labels(data)?;
        let mut rng = Rng::new(self.seed).derive("split");
        let texts: Vec<String> = data.iter().map(|e| self.text(e)).collect();
        let mut groups = similar::groups(&texts, self.similarity);
        rng.shuffle(&mut groups);
        groups.sort_by_key(|g| std::cmp::Reverse(g.len()));
        let mut parts = Assignment::new(&sizes, &labels).assign(&groups);
        parts.iter_mut().for_each(|places| rng.shuffle(places));
        for ((part, places), size) in PARTS.iter().zip(&parts).zip(sizes) {
            if size > 0 && places.is_empty() {
                return Err(data.error(format!(
                    "the {part} part would be empty: its {size} examples are near-duplicates of \
                     others; give more varied data or raise the similarity ({})",
                    self.similarity
                )));
            }
        }
        let [train, val, test, _] = parts.map(|places| data.select(&places));
        Ok(Split { train, val, test })
    }

    /// The sizes of the three parts and of what is left out.
    fn sizes(&self, n: usize) -> Result<[usize; 4]> {
        let bad = |what: String| Err(Error::Config(format!("cannot split {n} examples: {what}")));
        let mut fraction = 0.0;
        let at = |fraction: f64| (fraction * n as f64).round() as usize;
        let mut sizes = [Some(0); 3];
        for (size, share) in sizes.iter_mut().zip(self.shares) {
            *size = match share {
                Share::Count(count) => Some(count),
                Share::Rest => None,
                Share::Fraction(f) if (0.0..=1.0).contains(&f) => {
                    // Rounding the running sum makes fractions that add up to 1 take all.
                    let before = at(fraction);
                    fraction += f;
                    Some(at(fraction) - before)
                }
                Share::Fraction(f) => return bad(format!("a fraction of {f} is not in [0, 1]")),
            };
        }
        if sizes.iter().filter(|s| s.is_none()).count() > 1 {
            return bad("only one part can be the rest".into());
        }
        let taken: usize = sizes.iter().flatten().sum();
        let Some(left) = n.checked_sub(taken) else {
            return bad(format!("the parts ask for {taken}"));
        };
        let unused = if sizes.contains(&None) { 0 } else { left };
        let [train, val, test] = sizes.map(|s| s.unwrap_or(left));
        Ok([train, val, test, unused])
    }

    /// The stratum of each example, as a number.
    fn labels(&self, data: &Dataset) -> Result<Vec<usize>> {
        let Some(label) = &self.stratify else { return Ok(vec![0; data.len()]) };
        let columns = data.columns();
        if !columns.contains(label) {
            let near = teleprompt_core::names::suggestion(label, columns.iter().map(|c| &**c));
            return Err(data.error(format!("there is no column `{label}` to stratify by{near}")));
        }
        let mut known: HashMap<String, usize> = HashMap::new();
        let stratum = |e: &Example| {
            let next = known.len();
            *known.entry(e[label].to_string()).or_insert(next)
        };
        Ok(data.iter().map(stratum).collect())
    }

    fn text(&self, example: &Example) -> String {
        let mut fields = example.inputs();
        if fields.is_empty() {
            fields = example.fields.clone();
            self.stratify.as_ref().and_then(|label| fields.remove(label));
        }
        let text = |(_, value): (_, &Value)| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        fields.iter().map(text).collect::<Vec<_>>().join("\n")
    }
}

/// Deals groups out to parts. Each goes where its labels are missing most, relative to the size of
/// the part, so that parts fill up at the same pace with the same mix.
struct Assignment<'a> {
    labels: &'a [usize],
    bins: [Bin; 4],
}

#[derive(Default)]
struct Bin {
    share: f64,
    room: usize,
    /// How many examples of each label it still wants; below zero where it got too many.
    wanted: Vec<f64>,
    places: Vec<usize>,
}

impl<'a> Assignment<'a> {
    fn new(sizes: &[usize; 4], labels: &'a [usize]) -> Self {
        let strata = labels.iter().max().map_or(0, |m| m + 1);
        let mut counts = vec![0.0; strata];
        for &label in labels {
            if let Some(count) = counts.get_mut(label) {
                *count += 1.0;
            }
        }
        let bins = sizes.map(|size| {
            let share = size as f64 / labels.len().max(1) as f64;
            let wanted = counts.iter().map(|count| count * share).collect();
            Bin { share, room: size, wanted, places: Vec::new() }
        });
        Self { labels, bins }
    }

    fn assign(mut self, groups: &[Vec<usize>]) -> [Vec<usize>; 4] {
        for group in groups {
            let labels: Vec<usize> =
                group.iter().filter_map(|&i| self.labels.get(i)).copied().collect();
            if let Some(bin) = self.best(&labels) {
                bin.take(group, &labels);
            }
        }
        self.bins.map(|bin| bin.places)
    }

    fn best(&mut self, labels: &[usize]) -> Option<&mut Bin> {
        let fits = self.bins.iter().any(|b| b.room >= labels.len());
        let open = self.bins.iter_mut().filter(|b| b.share > 0.0);
        let open = open.filter(|b| !fits || b.room >= labels.len());
        open.reduce(|best, bin| if bin.need(labels) > best.need(labels) { bin } else { best })
    }
}

impl Bin {
    fn need(&self, labels: &[usize]) -> f64 {
        let wanted = labels.iter().filter_map(|&l| self.wanted.get(l)).sum::<f64>();
        wanted / self.share
    }

    fn take(&mut self, group: &[usize], labels: &[usize]) {
        self.places.extend(group);
        self.room = self.room.saturating_sub(group.len());
        for &label in labels {
            if let Some(wanted) = self.wanted.get_mut(label) {
                *wanted -= 1.0;
            }
        }
    }
}
