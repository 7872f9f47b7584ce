//! Which examples of a mini-batch have most to teach.

use crate::optimize::study::Run;

/// The runs of one example, best first; of equal ones the earlier first.
pub(super) struct Bucket {
    pub place: usize,
    runs: Vec<Run>,
}

impl Bucket {
    pub fn new(place: usize, mut runs: Vec<Run>) -> Self {
        runs.sort_by(|a, b| b.score.total_cmp(&a.score));
        Self { place, runs }
    }

    pub fn best(&self) -> Option<&Run> {
        self.runs.first()
    }

    pub fn worst(&self) -> Option<&Run> {
        self.runs.last()
    }

    pub fn scores(&self) -> impl Iterator<Item = f64> {
        self.runs.iter().map(|run| run.score)
    }

    /// What comes first has most to teach: the widest gap, then the best run, then the run that is
    /// furthest above the average.
    fn rank(&self) -> [f64; 3] {
        let best = self.best().map_or(0.0, |run| run.score);
        let worst = self.worst().map_or(0.0, |run| run.score);
        let mean = self.scores().sum::<f64>() / self.runs.len().max(1) as f64;
        [best - worst, best, best - mean]
    }
}

/// Most to teach first; of equal ones the earlier.
pub(super) fn sort(buckets: &mut [Bucket]) {
    buckets.sort_by(|a, b| {
        let pairs = b.rank().into_iter().zip(a.rank());
        pairs.fold(std::cmp::Ordering::Equal, |order, (b, a)| order.then(b.total_cmp(&a)))
    });
}

/// What a good and a bad run of the batch are: its 10th and 90th percentiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub low: f64,
    pub high: f64,
}

impl Bounds {
    pub fn of(buckets: &[Bucket]) -> Self {
        let mut scores: Vec<f64> = buckets.iter().flat_map(Bucket::scores).collect();
        scores.sort_by(f64::total_cmp);
        Self { low: percentile(&scores, 0.1), high: percentile(&scores, 0.9) }
    }
}

/// Between the two nearest, linearly.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = share * sorted.len().saturating_sub(1) as f64;
    let get = |i: f64| sorted.get(i as usize).copied().unwrap_or_default();
    let (below, above) = (get(at.floor()), get(at.ceil()));
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(place: usize, scores: &[f64]) -> Bucket {
        let run = |score: &f64| Run { score: *score, ..Run::default() };
        Bucket::new(place, scores.iter().map(run).collect())
    }

    #[test]
    fn the_widest_gap_comes_first_then_the_best_run_then_the_rarest() {
        let mut buckets = vec![
            bucket(0, &[0.5, 0.5]),
            bucket(1, &[0.0, 1.0, 1.0]),
            bucket(2, &[0.0, 0.0, 1.0]),
            bucket(3, &[1.0, 1.0]),
            bucket(4, &[0.2, 0.7]),
            bucket(5, &[0.5, 0.5]),
        ];
        sort(&mut buckets);
        let order: Vec<usize> = buckets.iter().map(|b| b.place).collect();
        assert_eq!(order, [2, 1, 4, 3, 0, 5]);
        assert_eq!(buckets[0].best().unwrap().score, 1.0);
        assert_eq!(buckets[0].worst().unwrap().score, 0.0);
    }

    #[test]
    fn bounds_are_percentiles() {
        let scores: Vec<f64> = (0..=10).map(f64::from).collect();
        assert_eq!(Bounds::of(&[bucket(0, &scores)]), Bounds { low: 1.0, high: 9.0 });
        assert_eq!(Bounds::of(&[bucket(0, &[0.0, 1.0])]), Bounds { low: 0.1, high: 0.9 });
        assert_eq!(Bounds::of(&[]), Bounds { low: 0.0, high: 0.0 });
    }
}
