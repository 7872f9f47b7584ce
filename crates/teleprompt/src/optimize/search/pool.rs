//! The pool of stochastic mini-batch ascent.

use crate::data::Rng;

/// Candidates with the running means of their scores, from which the next to improve is drawn: the
/// better its mean, the likelier. Stochastic mini-batch ascent (SIMBA, of DSPy) improves drawn
/// candidates on one mini-batch after the other, adds the new ones, and at the end evaluates the
/// winners of evenly spaced batches in full.
///
/// A candidate is known by its number, counted from 0 in the order of adding; 0 is usually the
/// program as written. Scores: higher is better; one that is not a finite number counts as 0.
///
/// ```
/// use teleprompt::data::Rng;
/// use teleprompt::optimize::search::Pool;
/// let mut pool = Pool::default();
/// let (plain, better) = (pool.add("as written"), pool.add("with a rule"));
/// pool.tell(plain, 0.4);
/// pool.tell(better, 0.7);
/// assert_eq!(pool.top(1), [better]);
/// // Nearly always the better one at a low temperature.
/// assert_eq!(pool.draw(&pool.top(2), 0.01, &mut Rng::new(1)), Some(better));
/// ```
#[derive(Clone, Debug)]
pub struct Pool<C> {
    members: Vec<Member<C>>,
    winners: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Member<C> {
    candidate: C,
    sum: f64,
    n: usize,
}

impl<C> Default for Pool<C> {
    fn default() -> Self {
        Self { members: Vec::new(), winners: Vec::new() }
    }
}

impl<C> Pool<C> {
    /// Adds a candidate and returns its number.
    pub fn add(&mut self, candidate: C) -> usize {
        self.members.push(Member { candidate, sum: 0.0, n: 0 });
        self.members.len() - 1
    }

    /// One more score of a candidate. Numbers that were never given are ignored.
    pub fn tell(&mut self, id: usize, score: f64) {
        if let Some(member) = self.members.get_mut(id) {
            member.sum += if score.is_finite() { score } else { 0.0 };
            member.n += 1;
        }
    }

    /// The candidate of a number.
    pub fn get(&self, id: usize) -> Option<&C> {
        self.members.get(id).map(|member| &member.candidate)
    }

    /// The number of candidates.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The mean of a candidate's scores; 0 before the first.
    pub fn mean(&self, id: usize) -> f64 {
        self.members.get(id).map_or(0.0, |member| member.sum / member.n.max(1) as f64)
    }

    /// The `k` candidates of the highest means, best first; of equal ones the earlier.
    pub fn top(&self, k: usize) -> Vec<usize> {
        let mut ids: Vec<usize> = (0..self.members.len()).collect();
        // Stable, so that the earlier stays first.
        ids.sort_by(|&a, &b| self.mean(b).total_cmp(&self.mean(a)));
        ids.truncate(k);
        ids
    }

    /// One of these candidates, with the odds `exp(mean / temperature)`; none of none. A temperature
    /// of 0 or less, or that is not a number, takes the best, of equal ones the first.
    ///
    /// The odds are taken relative to the best, so that they never overflow, however large the
    /// scores are or small the temperature.
    pub fn draw(&self, among: &[usize], temperature: f64, rng: &mut Rng) -> Option<usize> {
        let means: Vec<f64> = among.iter().map(|&id| self.mean(id)).collect();
        let top = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if temperature.is_nan() || temperature <= 0.0 {
            return among.iter().zip(&means).find(|(_, mean)| **mean == top).map(|(id, _)| *id);
        }
        // The best has the odds 1, so that their sum is never 0; equal infinities would give NaN.
        let odds = |m: &f64| if *m == top { 1.0 } else { ((m - top) / temperature).exp() };
        let odds: Vec<f64> = means.iter().map(odds).collect();
        let mut left = rng.unit() * odds.iter().sum::<f64>();
        for (id, weight) in among.iter().zip(&odds) {
            left -= weight;
            if left < 0.0 {
                return Some(*id);
            }
        }
        among.last().copied()
    }

    /// Notes the winner of a batch.
    pub fn win(&mut self, id: usize) {
        self.winners.push(id);
    }

    /// At most `k` of the winners noted, evenly spaced from the first to the last and each candidate
    /// once, in the order of their wins.
    pub fn spaced_winners(&self, k: usize) -> Vec<usize> {
        let n = self.winners.len();
        let k = k.min(n);
        let mut chosen = Vec::new();
        for i in 0..k {
            // With one place, the last winner: it is the ascent's own result.
            let place = if k == 1 { n - 1 } else { (i * (n - 1) + (k - 1) / 2) / (k - 1) };
            chosen.extend(self.winners.get(place).filter(|id| !chosen.contains(*id)).copied());
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::Rng;

    fn pool(scores: &[f64]) -> Pool<()> {
        let mut pool = Pool::default();
        for &score in scores {
            let id = pool.add(());
            pool.tell(id, score);
        }
        pool
    }

    #[test]
    fn draws_follow_the_odds() {
        let pool = pool(&[0.0, 2f64.ln()]);
        let mut rng = Rng::new(1);
        let second = (0..30_000).filter(|_| pool.draw(&[0, 1], 1.0, &mut rng) == Some(1)).count();
        // Odds 1 to 2; five standard deviations of a binomial with n = 30,000, p = 2/3.
        assert!(second.abs_diff(20_000) < 410, "{second}");
        assert_eq!(pool.draw(&[0, 1], 0.0, &mut rng), Some(1));
        assert_eq!(pool.draw(&[], 1.0, &mut rng), None);
    }

    #[test]
    fn means_run_and_the_earlier_of_equals_is_first() {
        let mut pool = pool(&[0.5, 0.5, 1.0]);
        assert_eq!(pool.top(2), [2, 0]);
        pool.tell(2, f64::NAN);
        assert_eq!(pool.mean(2), 0.5);
        assert_eq!(pool.top(9), [0, 1, 2]);
        let fresh = pool.add(());
        assert_eq!((pool.mean(fresh), pool.len()), (0.0, 4));
    }

    #[test]
    fn winners_are_evenly_spaced() {
        let mut pool = pool(&[0.0; 20]);
        assert!(pool.spaced_winners(3).is_empty());
        (10..19).for_each(|id| pool.win(id));
        assert_eq!(pool.spaced_winners(3), [10, 14, 18]);
        assert_eq!(pool.spaced_winners(5), [10, 12, 14, 16, 18]);
        assert_eq!(pool.spaced_winners(1), [18]);
        assert_eq!(pool.spaced_winners(100), (10..19).collect::<Vec<_>>());
        assert!(pool.spaced_winners(0).is_empty());
        pool.win(18);
        assert_eq!(pool.spaced_winners(2), [10, 18]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn any_scores_and_temperatures_draw_one(
            scores in prop::collection::vec(prop::num::f64::ANY, 1..8),
            temperature in prop::num::f64::ANY,
            seed: u64,
        ) {
            let pool = pool(&scores);
            let drawn = pool.draw(&pool.top(8), temperature, &mut Rng::new(seed));
            prop_assert!(drawn.is_some_and(|id| id < scores.len()));
        }
    }
}
