//! Likeness of texts by the words that they have in common.

use std::collections::{BTreeMap, HashMap};

/// TF-IDF vectors of texts, over lower-cased words; a word counts the more the fewer texts have it.
/// The weight of a word is its count times `ln((n + 1) / (texts with it + 1))`, with the texts'
/// number `n`: one that all have counts nothing.
pub(crate) struct TfIdf {
    words: HashMap<String, Word>,
    texts: usize,
}

struct Word {
    idf: f64,
    /// The texts that have it, with its weight in each: vectors have length 1.
    places: Vec<(usize, f64)>,
}

impl TfIdf {
    /// Learns the words of these texts.
    pub fn new<S: AsRef<str>>(texts: &[S]) -> Self {
        let counts: Vec<_> = texts.iter().map(|t| words(t.as_ref())).collect();
        let mut words: HashMap<String, Word> = HashMap::new();
        for (place, text) in counts.iter().enumerate() {
            for (word, count) in text {
                let new = || Word { idf: f64::NAN, places: Vec::new() };
                words.entry(word.clone()).or_insert_with(new).places.push((place, *count));
            }
        }
        let mut squares = vec![0.0; texts.len()];
        // In a fixed order, so that sums are the same in every run.
        for word in counts.iter().flat_map(BTreeMap::keys) {
            let Some(known) = words.get_mut(word).filter(|w| w.idf.is_nan()) else { continue };
            known.idf = idf(texts.len(), known.places.len());
            for (place, weight) in &mut known.places {
                *weight *= known.idf;
                if let Some(sum) = squares.get_mut(*place) {
                    *sum += *weight * *weight;
                }
            }
        }
        for (place, weight) in words.values_mut().flat_map(|w| &mut w.places) {
            let norm = squares.get(*place).copied().unwrap_or(0.0).sqrt();
            *weight /= norm.max(f64::MIN_POSITIVE);
        }
        Self { words, texts: texts.len() }
    }

    /// The cosine of this text with each of the learnt ones, from 0 to 1: higher is more alike.
    pub fn cosines(&self, text: &str) -> Vec<f64> {
        let mut cosines = vec![0.0; self.texts];
        let mut square = 0.0;
        for (word, count) in words(text) {
            let known = self.words.get(&word);
            let weight = count * known.map_or_else(|| idf(self.texts, 0), |w| w.idf);
            square += weight * weight;
            for (place, other) in known.iter().flat_map(|w| &w.places) {
                if let Some(sum) = cosines.get_mut(*place) {
                    *sum += weight * other;
                }
            }
        }
        let norm = f64::max(square, 0.0).sqrt().max(f64::MIN_POSITIVE);
        cosines.iter_mut().for_each(|sum| *sum /= norm);
        cosines
    }
}

fn idf(texts: usize, with: usize) -> f64 {
    ((texts as f64 + 1.0) / (with as f64 + 1.0)).ln()
}

fn words(text: &str) -> BTreeMap<String, f64> {
    let text = text.to_lowercase();
    let mut counts = BTreeMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
        *counts.entry(word.to_owned()).or_default() += 1.0;
    }
    counts
}

/// The places of the `k` highest likenesses, best first; of equal ones the earlier first.
pub(crate) fn highest(likeness: &[f64], k: usize) -> Vec<usize> {
    let mut places: Vec<(usize, f64)> = likeness.iter().copied().enumerate().collect();
    let order = |a: &(usize, f64), b: &(usize, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if 0 < k && k < places.len() {
        places.select_nth_unstable_by(k - 1, order);
    }
    places.truncate(k);
    places.sort_unstable_by(order);
    places.into_iter().map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_words_count_most() {
        let texts = ["the red apple", "the fast car", "the the the"];
        let cosines = TfIdf::new(&texts).cosines("THE apple!");
        assert!(cosines[0] > 0.5 && cosines[1] == 0.0 && cosines[2] == 0.0, "{cosines:?}");
    }

    /// Two texts, a and b: a word of one has the weight ln(3/2), and so has one of neither ln 3.
    #[test]
    fn the_cosine_is_that_of_the_vectors() {
        let cosines = TfIdf::new(&["x y", "z"]).cosines("x w");
        let (x, w) = (1.5f64.ln(), 3f64.ln());
        let expected = x / (x * x + w * w).sqrt() / 2f64.sqrt();
        assert!((cosines[0] - expected).abs() < 1e-12, "{cosines:?} {expected}");
        assert_eq!(TfIdf::new(&["x", "x"]).cosines("x"), [0.0, 0.0]);
        assert_eq!(TfIdf::new(&["x", "y"]).cosines(""), [0.0, 0.0]);
        assert!(TfIdf::new::<&str>(&[]).cosines("x").is_empty());
    }

    #[test]
    fn the_highest_come_first_and_equals_in_order() {
        assert_eq!(highest(&[0.1, 0.5, 0.5, 0.9], 3), [3, 1, 2]);
        assert_eq!(highest(&[0.5, 0.5], 1), [0]);
        assert_eq!(highest(&[0.5, 0.6], 9), [1, 0]);
        assert!(highest(&[0.5], 0).is_empty() && highest(&[], 2).is_empty());
    }
}
