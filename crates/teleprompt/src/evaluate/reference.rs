//! What needs no LM: scores that a classifier has to beat to be worth its cost.

use std::collections::HashMap;

use serde_json::Value;
use teleprompt_core::Example;

/// The accuracy of always giving the most frequent label of the train examples; of equally frequent
/// ones the first. From 0 to 1; 0 without examples.
pub fn majority(train: &[Example], test: &[Example], label: &str) -> f64 {
    let mut counts: Vec<(&Value, usize)> = Vec::new();
    for example in train {
        let value = &example[label];
        match counts.iter_mut().find(|(v, _)| *v == value) {
            Some((_, n)) => *n += 1,
            None => counts.push((value, 1)),
        }
    }
    let most = counts.iter().map(|(_, n)| *n).max().unwrap_or(0);
    let best = counts.iter().find(|(_, n)| *n == most).map(|(v, _)| *v);
    accuracy(test, label, |_| best.cloned())
}

/// The accuracy of giving the label of the nearest train example: cosine of TF-IDF vectors over
/// lower-cased words. From 0 to 1. It needs a few hundred labels at hand for every answer, where a
/// prompt holds a few.
pub fn nearest_neighbour(train: &[Example], test: &[Example], text: &str, label: &str) -> f64 {
    let documents: Vec<HashMap<String, f64>> = train.iter().map(|e| words(&e[text])).collect();
    let mut frequency: HashMap<&str, f64> = HashMap::new();
    for word in documents.iter().flat_map(HashMap::keys) {
        *frequency.entry(word).or_default() += 1.0;
    }
    let n = train.len() as f64;
    let weight = |word: &str| ((n + 1.0) / (frequency.get(word).unwrap_or(&0.0) + 1.0)).ln();
    let vector = |words: &HashMap<String, f64>| -> HashMap<String, f64> {
        let weighted = words.iter().map(|(w, c)| (w.clone(), c * weight(w)));
        let vector: HashMap<String, f64> = weighted.collect();
        let norm = vector.values().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        vector.into_iter().map(|(w, x)| (w, x / norm)).collect()
    };
    let vectors: Vec<HashMap<String, f64>> = documents.iter().map(vector).collect();
    accuracy(test, label, |example| {
        let query = vector(&words(&example[text]));
        let cosine = |other: &HashMap<String, f64>| -> f64 {
            let mut terms: Vec<f64> =
                query.iter().filter_map(|(w, x)| Some(x * other.get(w)?)).collect();
            // A fixed order of the sum, so that the result is the same in every run.
            terms.sort_by(f64::total_cmp);
            terms.iter().sum()
        };
        let mut best: Option<(f64, &Example)> = None;
        for (other, example) in vectors.iter().zip(train) {
            let score = cosine(other);
            if best.is_none_or(|(b, _)| score > b) {
                best = Some((score, example));
            }
        }
        best.map(|(_, example)| example[label].clone())
    })
}

fn accuracy(test: &[Example], label: &str, guess: impl Fn(&Example) -> Option<Value>) -> f64 {
    let right = |e: &&Example| guess(e).is_some_and(|g| g == e[label]);
    test.iter().filter(right).count() as f64 / test.len().max(1) as f64
}

fn words(text: &Value) -> HashMap<String, f64> {
    let text = text.as_str().unwrap_or("").to_lowercase();
    let mut counts = HashMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
        *counts.entry(word.to_owned()).or_default() += 1.0;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use teleprompt_core::record;

    fn example(text: &str, label: &str) -> Example {
        Example::new(record! { text: text, label: label }, ["text"])
    }

    #[test]
    fn majority_counts_the_train_labels() {
        let train = [example("x", "a"), example("y", "b"), example("z", "b")];
        let test = [example("p", "b"), example("q", "a")];
        assert_eq!(majority(&train, &test, "label"), 0.5);
        assert_eq!(majority(&[], &test, "label"), 0.0);
    }

    #[test]
    fn the_nearest_neighbour_shares_rare_words() {
        let train = [example("the red apple", "fruit"), example("the fast car", "vehicle")];
        let test = [example("An APPLE, the best!", "fruit"), example("the car", "vehicle")];
        assert_eq!(nearest_neighbour(&train, &test, "text", "label"), 1.0);
    }
}
