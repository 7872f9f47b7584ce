//! Wilcoxon's signed-rank test.

/// Up to as many differences that are not zero, the signed-rank test enumerates the sums of ranks.
const EXACT_RANKS_UP_TO: usize = 30;

/// What [`wilcoxon`] finds.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct SignedRank {
    /// The smaller of the sums of the ranks of positive and of negative differences.
    pub statistic: f64,
    /// How likely differences at least as far from zero are if each could as well have the other sign.
    pub two_sided: f64,
    /// How likely differences at least as low are: small where the values are below zero.
    pub less: f64,
    /// How likely differences at least as high are: small where the values are above zero.
    pub greater: f64,
}

/// Wilcoxon's signed-rank test of paired differences (Wilcoxon 1945). Differences of zero, and those
/// that are not finite numbers, are left out; equal ones share their mean rank.
///
/// Exact for up to 30 differences, ties or none: the distribution of the sum of the ranks over all
/// signs. Above, the normal approximation with the corrections for ties and continuity. All
/// p-values are 1 of nothing.
///
/// ```
/// use teleprompt::evaluate::stats::wilcoxon;
/// // All below zero: one of the 32 ways to give five ranks their signs.
/// let test = wilcoxon(&[-0.1, -0.2, -0.3, -0.4, -0.5]);
/// assert_eq!((test.statistic, test.less, test.two_sided), (0.0, 1.0 / 32.0, 2.0 / 32.0));
/// ```
pub fn wilcoxon(differences: &[f64]) -> SignedRank {
    let moving = differences.iter().copied().filter(|d| *d != 0.0 && d.is_finite());
    let mut moving: Vec<f64> = moving.collect();
    moving.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    // Twice the ranks, which are whole numbers with ties, too.
    let mut ranks: Vec<usize> = Vec::with_capacity(moving.len());
    let mut ties = 0.0;
    for group in moving.chunk_by(|a, b| a.abs() == b.abs()) {
        let (before, t) = (ranks.len(), group.len());
        ranks.extend(std::iter::repeat_n(2 * before + t + 1, t));
        ties += (t * t * t - t) as f64;
    }
    let signed = ranks.iter().zip(&moving);
    let positive: usize = signed.filter(|(_, d)| **d > 0.0).map(|(rank, _)| rank).sum();
    let all: usize = ranks.iter().sum();
    let (less, greater) = if ranks.len() <= EXACT_RANKS_UP_TO {
        exact_ranks(&ranks, positive)
    } else {
        normal_ranks(ranks.len() as f64, ties, positive as f64 / 2.0)
    };
    let two_sided = (2.0 * less.min(greater)).min(1.0);
    SignedRank { statistic: positive.min(all - positive) as f64 / 2.0, two_sided, less, greater }
}

/// The probabilities of a sum of ranks at most, and at least, as large.
fn exact_ranks(ranks: &[usize], observed: usize) -> (f64, f64) {
    let mut chances = vec![1.0];
    for &rank in ranks {
        let mut next = vec![0.0; chances.len() + rank];
        for (to, chance) in next.iter_mut().zip(&chances) {
            *to += chance / 2.0;
        }
        for (to, chance) in next.iter_mut().skip(rank).zip(&chances) {
            *to += chance / 2.0;
        }
        chances = next;
    }
    let below: f64 = chances.iter().take(observed + 1).sum();
    (below.min(1.0), chances.iter().skip(observed).sum::<f64>().min(1.0))
}

fn normal_ranks(n: f64, ties: f64, observed: f64) -> (f64, f64) {
    let mean = n * (n + 1.0) / 4.0;
    let deviation = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0).sqrt();
    let above = |x: f64| normal_tail((x - mean) / deviation);
    (1.0 - above(observed + 0.5), above(observed - 0.5))
}

/// The probability of a normal deviate above `z`: a series near zero, Laplace's continued fraction
/// in the tail (Abramowitz and Stegun, 26.2.11 and 26.2.14).
pub fn normal_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - normal_tail(-z);
    }
    let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if z > 3.0 {
        return density / (1..=100).rev().fold(z, |below, k| z + f64::from(k) / below);
    }
    let (mut term, mut sum) = (z, z);
    for k in 1..50 {
        term *= z * z / f64::from(2 * k + 1);
        sum += term;
    }
    0.5 - density * sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn wilcoxon_has_known_values() {
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
        // SciPy 1.17, wilcoxon with method="exact".
        let got = wilcoxon(&[1.1, -0.4, 2.3, 0.7, -0.2, 1.9, 0.3, -1.5]);
        assert_eq!(
            got,
            SignedRank { statistic: 10.0, two_sided: 0.3125, less: 0.875, greater: 0.15625 }
        );
        // Hollander and Wolfe 1973, p. 29, depression scores: p = 0.0195 one-sided.
        let depression = [-0.952, 0.147, -1.022, -0.43, -0.62, -0.59, -0.49, 0.08, -0.01];
        let got = wilcoxon(&depression);
        assert_eq!((got.statistic, got.two_sided, got.less), (5.0, 0.0390625, 0.01953125));
        // SciPy 1.17, method="approx", correction=True: 80 values, 8 of them zero, many ties.
        let many = [
            -1, 2, -2, 0, -2, 1, 1, 1, 3, 1, -1, -2, 1, -2, 1, 1, 2, -2, 3, 1, 0, 3, -1, 2, -2, 0,
            -2, -2, -2, 3, 2, -2, 1, 3, -1, 1, 3, -2, 2, -1, 1, 1, 2, -1, 0, -1, 3, -1, 1, 0, -2,
            1, 2, 3, -2, -1, 3, 3, 0, -2, 3, 0, 3, 3, 2, 1, 2, 3, -1, 0, 0, 2, 1, 2, 1, 2, -2, 1,
            -1, 3,
        ];
        let got = wilcoxon(&many.map(f64::from));
        assert_eq!(got.statistic, 810.0);
        assert!(near(got.two_sided, 0.006_465_625_214_377_922), "{got:?}");
        assert!(near(got.greater, 0.003_232_812_607_188_961), "{got:?}");
        assert!(near(got.less, 0.996_823_740_780_248_5), "{got:?}");
        let nothing = wilcoxon(&[0.0, f64::NAN]);
        assert_eq!((nothing.two_sided, nothing.less, nothing.greater), (1.0, 1.0, 1.0));
    }

    #[test]
    fn the_normal_tail_has_known_values() {
        // Python: statistics.NormalDist().cdf(-z), and math.erfc(z / sqrt(2)) / 2 beyond.
        for (z, p) in
            [(0.0, 0.5), (1.96, 0.024_997_895_148_220_43), (2.999, 0.001_354_336_533_727_106_6)]
        {
            assert!((normal_tail(z) / p - 1.0).abs() < 1e-6, "{z} {}", normal_tail(z));
            assert!((normal_tail(-z) - (1.0 - p)).abs() < 1e-9);
        }
        assert!((normal_tail(8.0) / 6.220_960_574_271_819e-16 - 1.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn the_signed_rank_test_is_that_of_all_signs(v in prop::collection::vec(-3i8..=3, 0..10)) {
            let v: Vec<f64> = v.into_iter().map(f64::from).collect();
            let got = wilcoxon(&v);
            let moving: Vec<f64> = v.iter().copied().filter(|d| *d != 0.0).collect();
            let rank = |d: &f64| {
                let below = moving.iter().filter(|o| o.abs() < d.abs()).count();
                let equal = moving.iter().filter(|o| o.abs() == d.abs()).count();
                below as f64 + (equal as f64 + 1.0) / 2.0
            };
            let ranks: Vec<f64> = moving.iter().map(rank).collect();
            let sum = |positive: &dyn Fn(usize) -> bool| -> f64 {
                ranks.iter().enumerate().filter(|(i, _)| positive(*i)).map(|(_, r)| r).sum()
            };
            let observed = sum(&|i| moving[i] > 0.0);
            let all = 1usize << moving.len();
            let low = (0..all).filter(|bits| sum(&|i| bits >> i & 1 == 1) <= observed).count();
            prop_assert!(close(got.less, low as f64 / all as f64));
            let negated = wilcoxon(&v.iter().map(|d| -d).collect::<Vec<_>>());
            prop_assert!(close(got.greater, negated.less) && close(got.two_sided, negated.two_sided));
        }
    }
}
