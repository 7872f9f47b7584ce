//! From logits to tokens and log-probabilities.

use llguidance::toktrie::SimpleVob;

use crate::rng::Rng;

/// The scores of all tokens at one place, and which of them are allowed there.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    logits: &'a [f32],
    mask: Option<&'a SimpleVob>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(logits: &'a [f32], mask: Option<&'a SimpleVob>) -> Self {
        Self { logits, mask }
    }

    /// Allowed tokens with their logits, by id. NaNs are no candidates.
    fn candidates(self) -> impl Iterator<Item = (u32, f32)> + 'a {
        let allowed = move |id: u32| self.mask.is_none_or(|mask| mask.is_allowed(id));
        (0u32..)
            .zip(self.logits.iter().copied())
            .filter(move |&(id, logit)| logit > f32::NEG_INFINITY && allowed(id))
    }

    /// The best token; of equals the one with the lowest id.
    fn best(self) -> Option<(u32, f32)> {
        self.candidates().reduce(|best, next| if next.1 > best.1 { next } else { best })
    }
}

/// How one completion draws its tokens.
#[derive(Clone, Debug)]
pub(crate) struct Sampler {
    /// 0 is greedy.
    temperature: f64,
    /// 1 is everything.
    top_p: f64,
    rng: Rng,
}

impl Sampler {
    pub(crate) fn new(temperature: f32, top_p: f32, rng: Rng) -> Self {
        Self { temperature: f64::from(temperature), top_p: f64::from(top_p), rng }
    }

    /// The next token, or `None` if no token is allowed.
    pub(crate) fn pick(&mut self, row: Row<'_>) -> Option<u32> {
        let (best, top) = row.best()?;
        if self.temperature <= 0.0 {
            return Some(best);
        }
        let weights: Vec<(u32, f64)> = row
            .candidates()
            .map(|(id, logit)| (id, (f64::from(logit - top) / self.temperature).exp()))
            .filter(|&(_, weight)| weight > 0.0)
            .collect();
        let weights = if self.top_p < 1.0 { nucleus(weights, self.top_p) } else { weights };
        let total: f64 = weights.iter().map(|w| w.1).sum();
        let mut left = self.rng.unit() * total;
        for &(id, weight) in &weights {
            left -= weight;
            if left < 0.0 {
                return Some(id);
            }
        }
        Some(weights.last().map_or(best, |w| w.0))
    }
}

/// The fewest likeliest tokens that together hold the share `p` of the weight, at least one.
fn nucleus(mut weights: Vec<(u32, f64)>, p: f64) -> Vec<(u32, f64)> {
    let wanted = p * weights.iter().map(|w| w.1).sum::<f64>();
    let order = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    // Sorting the whole vocabulary costs more than the rest of sampling: sort only a head that is
    // heavy enough.
    let mut head = 64;
    while head < weights.len() {
        weights.select_nth_unstable_by(head, order);
        if weights.iter().take(head).map(|w| w.1).sum::<f64>() >= wanted {
            break;
        }
        head *= 8;
    }
    weights.truncate(head);
    weights.sort_unstable_by(order);
    let mut sum = 0.0;
    let keep = weights.iter().position(|w| {
        sum += w.1;
        sum >= wanted
    });
    weights.truncate(keep.map_or(weights.len(), |i| i + 1));
    weights
}

/// A token's log-probability among the allowed ones, and the `k` likeliest with theirs.
pub(crate) fn logprobs(row: Row<'_>, token: u32, k: usize) -> (f32, Vec<(u32, f32)>) {
    let Some((_, top)) = row.best() else {
        return (f32::NEG_INFINITY, Vec::new());
    };
    let sum: f64 = row.candidates().map(|(_, logit)| f64::from(logit - top).exp()).sum();
    let norm = f64::from(top) + sum.ln();
    let logprob = |logit: f32| (f64::from(logit) - norm).min(0.0) as f32;
    let mut ranked: Vec<(u32, f32)> = row.candidates().collect();
    let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    let chosen = ranked.iter().find(|c| c.0 == token).map_or(f32::NEG_INFINITY, |c| logprob(c.1));
    if k < ranked.len() {
        ranked.select_nth_unstable_by(k, order);
        ranked.truncate(k);
    }
    ranked.sort_unstable_by(order);
    (chosen, ranked.into_iter().map(|(id, logit)| (id, logprob(logit))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [0.0, 2.0, 1.0, 2.0, f32::NEG_INFINITY];

    fn mask(allowed: &[u32]) -> SimpleVob {
        let mut mask = SimpleVob::alloc(LOGITS.len());
        allowed.iter().for_each(|&id| mask.allow_token(id));
        mask
    }

    fn counts(temperature: f32, top_p: f32, row: Row<'_>) -> [usize; 5] {
        let mut sampler = Sampler::new(temperature, top_p, Rng::new(3, 0, 0));
        let mut counts = [0; 5];
        for _ in 0..4000 {
            counts[sampler.pick(row).unwrap() as usize] += 1;
        }
        counts
    }

    #[test]
    fn greedy_takes_the_best_allowed_and_the_lowest_id_of_equals() {
        let mut greedy = Sampler::new(0.0, 1.0, Rng::new(0, 0, 0));
        assert_eq!(greedy.pick(Row::new(&LOGITS, None)), Some(1));
        assert_eq!(greedy.pick(Row::new(&LOGITS, Some(&mask(&[0, 2])))), Some(2));
        assert_eq!(greedy.pick(Row::new(&LOGITS, Some(&mask(&[4])))), None);
        assert_eq!(greedy.pick(Row::new(&[f32::NAN, -3.0], None)), Some(1));
    }

    #[test]
    fn temperature_one_follows_the_softmax() {
        let seen = counts(1.0, 1.0, Row::new(&LOGITS, None));
        let weights: Vec<f64> = LOGITS.iter().map(|&l| f64::from(l).exp()).collect();
        let total: f64 = weights.iter().sum();
        for (count, weight) in seen.iter().zip(&weights) {
            let share = *count as f64 / 4000.0;
            assert!((share - weight / total).abs() < 0.03, "{seen:?}");
        }
    }

    #[test]
    fn top_p_cuts_the_tail_and_keeps_at_least_one() {
        let seen = counts(1.0, 0.79, Row::new(&LOGITS, None));
        assert_eq!([seen[0], seen[2], seen[4]], [0, 0, 0]);
        let seen = counts(1.0, 0.001, Row::new(&LOGITS, None));
        assert_eq!(seen[1], 4000);
    }

    #[test]
    fn nucleus_equals_a_full_sort_on_a_long_tail() {
        let weights: Vec<(u32, f64)> = (0..5000).map(|i| (i, f64::from(i % 977))).collect();
        let mut sorted = weights.clone();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let wanted = 0.5 * weights.iter().map(|w| w.1).sum::<f64>();
        let mut sum = 0.0;
        let n = 1 + sorted
            .iter()
            .position(|w| {
                sum += w.1;
                sum >= wanted
            })
            .unwrap();
        assert_eq!(nucleus(weights, 0.5), sorted[..n]);
    }

    #[test]
    fn logprobs_are_normalised_over_the_allowed() {
        let (free, top) = logprobs(Row::new(&LOGITS, None), 1, 2);
        assert!((free - (2.0 - 18.496f32.ln())).abs() < 1e-3, "{free}");
        assert_eq!(top.iter().map(|t| t.0).collect::<Vec<_>>(), [1, 3]);
        let mask = mask(&[2]);
        assert_eq!(logprobs(Row::new(&LOGITS, Some(&mask)), 2, 5), (0.0, vec![(2, 0.0)]));
    }
}
