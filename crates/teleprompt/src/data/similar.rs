//! Finding near-duplicate texts.

use std::collections::HashMap;

/// Groups of texts that are near-duplicates of each other, directly or through others: two texts
/// are near when the Jaccard similarity of the sets of their character trigrams, in lower case, is
/// at least `threshold` (0 excluded, 1 included). A text under three characters is its own one
/// trigram. Groups come in the order of their first members, members in order.
///
/// Exact, not sampled. All pairs whose sizes allow the similarity are looked at, almost all of them
/// only through a bitmap of each text: where two bitmaps differ, the sets do, which bounds the
/// similarity (Sandes, Teodoro and Melo, "Bitmap filter", 2020). The time grows with the square of
/// the number of texts and with their length.
///
/// ```
/// use teleprompt::data::similar::groups;
/// let texts = ["Where is my order?", "Close my account", "where is my order"];
/// assert_eq!(groups(&texts, 0.6), [vec![0, 2], vec![1]]);
/// ```
pub fn groups<S: AsRef<str>>(texts: &[S], threshold: f64) -> Vec<Vec<usize>> {
    let sets: Vec<Vec<u64>> = texts.iter().map(|t| trigrams(t.as_ref())).collect();
    let mut union = Union((0..sets.len()).collect());
    let distinct = unite_equal(&sets, &mut union);
    unite_near(&sets, distinct, threshold, &mut union);
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut out: Vec<Vec<usize>> = Vec::new();
    for i in 0..sets.len() {
        let place = *places.entry(union.root(i)).or_insert(out.len());
        match out.get_mut(place) {
            Some(group) => group.push(i),
            None => out.push(vec![i]),
        }
    }
    out
}

/// The Jaccard similarity of the character trigrams of two texts, as [`groups`] uses it.
pub fn similarity(a: &str, b: &str) -> f64 {
    let (a, b) = (trigrams(a), trigrams(b));
    let shared = a.iter().filter(|t| b.binary_search(t).is_ok()).count();
    shared as f64 / (a.len() + b.len() - shared) as f64
}

/// The trigrams of a text, sorted, each once; a character takes 21 bits.
fn trigrams(text: &str) -> Vec<u64> {
    let pack = |chars: &[char]| chars.iter().fold(0, |p, &c| (p << 21) | (u64::from(c) + 1));
    let chars: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    if chars.len() < 3 {
        return vec![pack(&chars)];
    }
    let mut grams: Vec<u64> = chars.windows(3).map(pack).collect();
    grams.sort_unstable();
    grams.dedup();
    grams
}

/// Unites texts with equal sets; gives one of each.
fn unite_equal(sets: &[Vec<u64>], union: &mut Union) -> Vec<usize> {
    let mut first: HashMap<&[u64], usize> = HashMap::new();
    let mut distinct = Vec::new();
    for (i, set) in sets.iter().enumerate() {
        match first.get(set.as_slice()) {
            Some(&earlier) => union.unite(earlier, i),
            None => {
                first.insert(set, i);
                distinct.push(i);
            }
        }
    }
    distinct
}

fn unite_near(sets: &[Vec<u64>], mut texts: Vec<usize>, threshold: f64, union: &mut Union) {
    let set = |i: usize| sets.get(i).map_or(&[][..], Vec::as_slice);
    texts.sort_by_key(|&i| (set(i).len(), i));
    let words = bitmap_words(texts.last().map_or(0, |&i| set(i).len()));
    let bitmaps: Vec<u64> = texts.iter().flat_map(|&i| bitmap(set(i), words)).collect();
    let entries = |from: usize, to: usize| {
        let bitmaps = bitmaps.get(from * words..to * words).unwrap_or_default();
        texts.get(from..to).unwrap_or_default().iter().zip(bitmaps.chunks_exact(words))
    };
    // How much of two sets can differ, as a part of the sum of their sizes.
    let slack = (1.0 - threshold) / (1.0 + threshold);
    for (at, (&x, bits)) in entries(0, texts.len()).enumerate() {
        let smallest = threshold * set(x).len() as f64;
        let first = texts.partition_point(|&y| (set(y).len() as f64) < smallest);
        for (&y, other) in entries(first, at) {
            let limit = (slack * (set(x).len() + set(y).len()) as f64 + 1e-9) as u32;
            if differing(bits, other) <= limit
                && union.root(x) != union.root(y)
                && is_near(set(x), set(y), threshold)
            {
                union.unite(x, y);
            }
        }
    }
}

/// The 64-bit words of a bitmap: two bits for each trigram of the largest set tell most pairs apart,
/// and more than a kilobyte costs more to read than it saves.
fn bitmap_words(largest: usize) -> usize {
    (2 * largest).div_ceil(64).clamp(1, 128)
}

/// Each trigram flips one bit, so that bitmaps differ in at most as many bits as sets in trigrams.
fn bitmap(set: &[u64], words: usize) -> Vec<u64> {
    let mut bits = vec![0; words];
    for gram in set {
        let hash = gram.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let bit = (hash * (64 * words as u64)) >> 32;
        if let Some(word) = bits.get_mut((bit / 64) as usize) {
            *word ^= 1 << (bit % 64);
        }
    }
    bits
}

fn differing(a: &[u64], b: &[u64]) -> u32 {
    a.iter().zip(b).map(|(x, y)| (x ^ y).count_ones()).sum()
}

/// Whether two sorted sets are at least that similar; stops as soon as they cannot be.
fn is_near(a: &[u64], b: &[u64], threshold: f64) -> bool {
    let total = (a.len() + b.len()) as f64;
    let needed = (threshold / (1.0 + threshold) * total - 1e-9).ceil() as usize;
    let (mut a, mut b, mut shared) = (a, b, 0);
    while let ([x, rest_a @ ..], [y, rest_b @ ..]) = (a, b) {
        if shared + a.len().min(b.len()) < needed {
            return false;
        }
        shared += usize::from(x == y);
        a = if x <= y { rest_a } else { a };
        b = if y <= x { rest_b } else { b };
    }
    shared as f64 / (total - shared as f64) >= threshold
}

/// Disjoint sets with path halving.
struct Union(Vec<usize>);

impl Union {
    fn parent(&self, i: usize) -> usize {
        self.0.get(i).copied().unwrap_or(i)
    }

    fn root(&mut self, mut i: usize) -> usize {
        while self.parent(i) != i {
            let above = self.parent(self.parent(i));
            if let Some(slot) = self.0.get_mut(i) {
                *slot = above;
            }
            i = above;
        }
        i
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if let Some(slot) = self.0.get_mut(a.max(b)) {
            *slot = a.min(b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Rng;

    #[test]
    fn similarity_is_that_of_trigram_sets() {
        // abcd: abc bcd; bcde: bcd cde; one of three.
        assert!((similarity("abcd", "bcde") - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(similarity("ABC", "abc"), 1.0);
        assert_eq!(similarity("", ""), 1.0);
        assert_eq!(similarity("a", ""), 0.0);
    }

    /// The bitmaps must not lose a pair: compared with all pairs on texts full of near-duplicates.
    #[test]
    fn groups_are_those_of_comparing_all_pairs() {
        let mut rng = Rng::new(11);
        for threshold in [0.3, 0.6, 0.9, 1.0] {
            let texts: Vec<String> = (0..120).map(|_| text(&mut rng)).collect();
            assert_eq!(groups(&texts, threshold), all_pairs(&texts, threshold), "{threshold}");
        }
    }

    fn text(rng: &mut Rng) -> String {
        let words = ["order", "refund", "late", "the", "my", "is", "where", "é", "account"];
        (0..1 + rng.below(6)).map(|_| words[rng.below(words.len())]).collect::<Vec<_>>().join(" ")
    }

    fn all_pairs(texts: &[String], threshold: f64) -> Vec<Vec<usize>> {
        let mut union = Union((0..texts.len()).collect());
        for i in 0..texts.len() {
            for j in 0..i {
                if similarity(&texts[i], &texts[j]) >= threshold {
                    union.unite(i, j);
                }
            }
        }
        let roots: Vec<usize> = (0..texts.len()).map(|i| union.root(i)).collect();
        let members = |r: usize| (0..texts.len()).filter(|&i| roots[i] == r).collect();
        (0..texts.len()).filter(|&i| roots[i] == i).map(members).collect()
    }
}
