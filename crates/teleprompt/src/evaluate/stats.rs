//! The statistics of evaluations: intervals of a mean and paired tests. All are deterministic: what
//! is random draws from a fixed seed.

mod wilcoxon;

pub use wilcoxon::{SignedRank, normal_tail, wilcoxon};

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
        fn mcnemar_is_in_range_and_symmetric(wins in 0usize..3000, losses in 0usize..3000) {
            let p = mcnemar(wins, losses);
            prop_assert!(p > 0.0 && p <= 1.0);
            prop_assert_eq!(p, mcnemar(losses, wins));
        }
    }
}
