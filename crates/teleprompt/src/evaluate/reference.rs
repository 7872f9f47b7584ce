//! What needs no LM: scores that a classifier has to beat to be worth its cost.

use serde_json::Value;
use teleprompt_core::Example;

use crate::data::tfidf::{TfIdf, highest};

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
    let texts: Vec<&str> = train.iter().map(|e| e[text].as_str().unwrap_or("")).collect();
    let index = TfIdf::new(&texts);
    accuracy(test, label, |example| {
        let cosines = index.cosines(example[text].as_str().unwrap_or(""));
        let best = highest(&cosines, 1).into_iter().next()?;
        train.get(best).map(|example| example[label].clone())
    })
}

fn accuracy(test: &[Example], label: &str, guess: impl Fn(&Example) -> Option<Value>) -> f64 {
    let right = |e: &&Example| guess(e).is_some_and(|g| g == e[label]);
    test.iter().filter(right).count() as f64 / test.len().max(1) as f64
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
