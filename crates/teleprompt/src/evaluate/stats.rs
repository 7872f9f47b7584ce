//! The statistics of evaluations: intervals of a mean and paired tests. All are deterministic: what
//! is random draws from a fixed seed.

use crate::data::Rng;

/// An interval with both ends included.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Resamples of a bootstrap.
pub const RESAMPLES: usize = 2000;

/// Random sign flips of a permutation test that is too large to enumerate.
pub const FLIPS: usize = 10_000;

/// Up to as many differences that are not zero, the permutation test enumerates all sign flips.
pub const EXACT_UP_TO: usize = 18;

/// The 97.5% point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// The mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Whether all scores are 0 or 1.
pub fn is_binary(scores: &[f64]) -> bool {
    scores.iter().all(|s| *s == 0.0 || *s == 1.0)
}

/// The 95% interval of the mean score: [`wilson`] where all scores are 0 or 1, else
/// [`bootstrap`].
pub fn interval(scores: &[f64]) -> Interval {
    if is_binary(scores) { wilson(scores.iter().sum(), scores.len()) } else { bootstrap(scores) }
}

/// The 95% interval of a proportion after `hits` of `n` (Wilson 1927), within [0, 1]:
/// `(p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n)` with `z` = 1.96. All of [0, 1] for `n = 0`.
pub fn wilson(hits: f64, n: usize) -> Interval {
    if n == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let n = n as f64;
    let p = hits / n;
    let centre = p + Z * Z / (2.0 * n);
    let margin = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    // Rounding must not put p outside where it is 0 or 1.
    let low = ((centre - margin) / scale).clamp(0.0, p);
    Interval { low, high: ((centre + margin) / scale).clamp(p, 1.0) }
}

/// The 95% interval of a mean by the percentile bootstrap (Efron 1979): the 2.5% and 97.5% points
/// of the means of [`RESAMPLES`] samples drawn with replacement. It always contains the mean. The
/// time grows with `values`: 2000 draws a value.
pub fn bootstrap(values: &[f64]) -> Interval {
    let mean_of_all = mean(values);
    let mut rng = Rng::new(0).derive("bootstrap");
    let n = values.len();
    let mut resample = || {
        let drawn = (0..n).filter_map(|_| values.get(rng.below(n)));
        drawn.sum::<f64>() / n.max(1) as f64
    };
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resample()).collect();
    means.sort_by(f64::total_cmp);
    let tail = RESAMPLES / 40;
    let at = |i: usize| means.get(i).copied().unwrap_or(mean_of_all);
    // Both ends are as far from theirs: the interval of the negated values is the mirror image.
    Interval { low: at(tail - 1).min(mean_of_all), high: at(RESAMPLES - tail).max(mean_of_all) }
}

/// The exact two-sided p-value of McNemar's test (a binomial test on the discordant pairs): how
/// likely `wins` and `losses` at least as uneven are if both are equally probable.
/// `min(1, 2 Σ_{i ≤ min(wins, losses)} C(n, i) / 2ⁿ)` with `n = wins + losses`; 1 for `n = 0`. Never 0.
pub fn mcnemar(wins: usize, losses: usize) -> f64 {
    let (few, n) = (wins.min(losses), wins + losses);
    // The largest term by logarithms, so that 2ⁿ does not overflow; the others from it.
    let ln_choose: f64 = (1..=few).map(|i| ((n - few + i) as f64 / i as f64).ln()).sum();
    let mut term = (ln_choose - n as f64 * std::f64::consts::LN_2).exp();
    let mut sum = 0.0;
    for i in (0..=few).rev() {
        sum += term;
        term *= i as f64 / (n - i + 1) as f64;
    }
    (2.0 * sum).clamp(f64::MIN_POSITIVE, 1.0)
}

/// The two-sided p-value of a paired permutation test (Fisher 1935): how likely a mean difference
/// at least as far from zero is if each difference could as well have the other sign.
///
/// Exact over all sign flips for up to [`EXACT_UP_TO`] differences that are not zero; else
/// estimated from [`FLIPS`] random ones as `(1 + extreme) / (1 + flips)`, which is never 0 and keeps
/// the level of the test (Phipson and Smyth 2010).
pub fn sign_flip(differences: &[f64]) -> f64 {
    let moving: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let observed = moving.iter().sum::<f64>().abs();
    // Sums that are equal but for rounding count as equal.
    let limit = observed - 1e-9 * moving.iter().map(|d| d.abs()).sum::<f64>();
    if moving.len() <= EXACT_UP_TO {
        return exact_flips(&moving, limit);
    }
    let mut rng = Rng::new(0).derive("permutation");
    let extreme = (0..FLIPS).filter(|_| random_flip(&moving, &mut rng).abs() >= limit).count();
    (1 + extreme) as f64 / (1 + FLIPS) as f64
}

/// Enumerates flips in Gray-code order, one sign a step.
fn exact_flips(moving: &[f64], limit: f64) -> f64 {
    let flips = 1u32 << moving.len();
    let mut sum: f64 = moving.iter().sum();
    let mut signs = vec![1.0; moving.len()];
    let mut extreme = u32::from(sum.abs() >= limit);
    for step in 1..flips {
        let turned = step.trailing_zeros() as usize;
        if let (Some(sign), Some(value)) = (signs.get_mut(turned), moving.get(turned)) {
            sum -= 2.0 * *sign * value;
            *sign = -*sign;
        }
        extreme += u32::from(sum.abs() >= limit);
    }
    f64::from(extreme) / f64::from(flips)
}

fn random_flip(moving: &[f64], rng: &mut Rng) -> f64 {
    let mut sum = 0.0;
    for chunk in moving.chunks(64) {
        let mut bits = rng.next_u64();
        for value in chunk {
            sum += if bits & 1 == 0 { *value } else { -value };
            bits >>= 1;
        }
    }
    sum
}

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
    use crate::data::Rng;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn wilson_has_known_values() {
        // Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662 (the formula in Python agrees).
        let got = wilson(81.0, 263);
        assert!((got.low - 0.2553).abs() < 5e-5 && (got.high - 0.3662).abs() < 5e-5, "{got:?}");
        // The same table: 0 of 20 gives 0.0000 to 0.1611; 1 of 29 gives 0.0061 to 0.1718.
        let none = wilson(0.0, 20);
        assert!(none.low == 0.0 && (none.high - 0.1611).abs() < 5e-5, "{none:?}");
        let one = wilson(1.0, 29);
        assert!((one.low - 0.0061).abs() < 5e-5 && (one.high - 0.1718).abs() < 5e-5, "{one:?}");
        assert_eq!(wilson(5.0, 5).high, 1.0);
        assert_eq!(wilson(0.0, 0), Interval { low: 0.0, high: 1.0 });
    }

    #[test]
    fn mcnemar_has_known_values() {
        // Two-sided binomial tests by hand: n = 10, k = 1: 2 (1 + 10) / 1024.
        assert!(close(mcnemar(9, 1), 22.0 / 1024.0));
        assert!(close(mcnemar(1, 9), 22.0 / 1024.0));
        // n = 6, k = 0: 2 / 64. n = 4, k = 2: more than 1 before the cap.
        assert!(close(mcnemar(0, 6), 2.0 / 64.0));
        assert_eq!(mcnemar(2, 2), 1.0);
        assert_eq!(mcnemar(0, 0), 1.0);
        // Python, in fractions: 2 * sum(comb(2000, i) for i in range(901)) / 2**2000.
        assert!((mcnemar(1100, 900) / 8.457_089_535_503_927e-6 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn sign_flip_enumerates_small_cases() {
        // |±1 ±2 ±3| ≥ 6 for two of eight; ≥ 4 for four (6, 4, -4, -6).
        assert!(close(sign_flip(&[1.0, 2.0, 3.0]), 2.0 / 8.0));
        assert!(close(sign_flip(&[-1.0, 0.0, 2.0, 3.0]), 4.0 / 8.0));
        assert_eq!(sign_flip(&[]), 1.0);
        assert_eq!(sign_flip(&[0.0, 0.0]), 1.0);
        // All equal and above: twice one flip of all.
        assert!(close(sign_flip(&[0.1; 10]), 2.0 / 1024.0));
    }

    #[test]
    fn random_flips_agree_with_exact_ones() {
        let mut rng = Rng::new(2);
        let values: Vec<f64> = (0..EXACT_UP_TO).map(|_| rng.unit() - 0.4).collect();
        let exact = sign_flip(&values);
        let limit = values.iter().sum::<f64>().abs() - 1e-9;
        let extreme = (0..20_000).filter(|_| random_flip(&values, &mut rng).abs() >= limit);
        // Four standard errors at p = 0.5.
        assert!((extreme.count() as f64 / 20_000.0 - exact).abs() < 0.015);
    }

    #[test]
    fn bootstrap_is_near_the_normal_interval() {
        let mut rng = Rng::new(3);
        let values: Vec<f64> = (0..400).map(|_| rng.unit()).collect();
        let got = bootstrap(&values);
        // Standard error of the mean of 400 uniform values: sqrt(1/12/400) = 0.01443.
        assert!((got.high - got.low - 2.0 * 1.96 * 0.01443).abs() < 0.006, "{got:?}");
        assert_eq!(bootstrap(&[0.3]), Interval { low: 0.3, high: 0.3 });
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
        fn intervals_contain_the_mean_and_mirror(v in prop::collection::vec(-5.0..5.0f64, 1..40)) {
            let here = bootstrap(&v);
            let m = mean(&v);
            prop_assert!(here.low <= m && m <= here.high);
            let negated: Vec<f64> = v.iter().map(|x| -x).collect();
            let there = bootstrap(&negated);
            prop_assert!(close(here.low, -there.high) && close(here.high, -there.low));
        }

        #[test]
        fn wilson_contains_the_proportion(n in 1usize..500, part in 0.0..=1.0f64) {
            let hits = (n as f64 * part).round();
            let got = wilson(hits, n);
            let p = hits / n as f64;
            prop_assert!(0.0 <= got.low && got.low <= p && p <= got.high && got.high <= 1.0);
        }

        #[test]
        fn p_values_are_in_range_and_symmetric(v in prop::collection::vec(-3i8..=3, 0..40)) {
            let v: Vec<f64> = v.into_iter().map(|x| f64::from(x) / 10.0).collect();
            let p = sign_flip(&v);
            prop_assert!(p > 0.0 && p <= 1.0);
            let negated: Vec<f64> = v.iter().map(|x| -x).collect();
            prop_assert!(close(p, sign_flip(&negated)));
        }

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

        #[test]
        fn mcnemar_is_in_range_and_symmetric(wins in 0usize..3000, losses in 0usize..3000) {
            let p = mcnemar(wins, losses);
            prop_assert!(p > 0.0 && p <= 1.0);
            prop_assert_eq!(p, mcnemar(losses, wins));
        }
    }
}
