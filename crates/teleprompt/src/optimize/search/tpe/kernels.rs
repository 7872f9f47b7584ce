//! Densities over the points of a space.

use crate::data::Rng;

/// A density made of kernels around points, one share of it joint and one a product of its
/// dimensions' own densities.
pub(super) struct Kernels<'a> {
    sizes: &'a [usize],
    centres: Vec<&'a [usize]>,
    spread: f64,
    independent: f64,
    /// For each dimension the density of each value.
    margins: Vec<Vec<f64>>,
}

impl<'a> Kernels<'a> {
    pub(super) fn new(
        sizes: &'a [usize],
        centres: Vec<&'a [usize]>,
        spread: f64,
        independent: f64,
    ) -> Self {
        let (spread, independent) = (spread.clamp(0.0, 1.0), independent.clamp(0.0, 1.0));
        let margin = |(d, &size): (usize, &usize)| {
            // One even kernel besides those of the points: nothing is impossible.
            let mut counts = vec![1.0 / size as f64; size];
            for centre in &centres {
                for (value, count) in counts.iter_mut().enumerate() {
                    *count += kernel(centre.get(d) == Some(&value), size, spread);
                }
            }
            counts.iter().map(|c| c / (centres.len() + 1) as f64).collect()
        };
        let margins = sizes.iter().enumerate().map(margin).collect();
        Self { sizes, centres, spread, independent, margins }
    }

    /// The density at a point.
    pub(super) fn density(&self, point: &[usize]) -> f64 {
        self.independent * self.product(point) + (1.0 - self.independent) * self.joint(point)
    }

    fn product(&self, point: &[usize]) -> f64 {
        let at = |(value, margin): (&usize, &Vec<f64>)| margin.get(*value).copied().unwrap_or(0.0);
        point.iter().zip(&self.margins).map(at).product()
    }

    fn joint(&self, point: &[usize]) -> f64 {
        let even: f64 = self.sizes.iter().map(|&n| 1.0 / n as f64).product();
        let around = |centre: &&[usize]| -> f64 {
            let values = point.iter().zip(centre.iter()).zip(self.sizes);
            values.map(|((v, c), &size)| kernel(v == c, size, self.spread)).product()
        };
        (even + self.centres.iter().map(around).sum::<f64>()) / (self.centres.len() + 1) as f64
    }

    /// A point drawn from the density.
    pub(super) fn draw(&self, rng: &mut Rng) -> Vec<usize> {
        if rng.unit() < self.independent {
            return self.margins.iter().map(|margin| weighted(margin, rng)).collect();
        }
        let centre = self.centres.get(rng.below(self.centres.len() + 1));
        let value = |(d, &size): (usize, &usize)| match centre.and_then(|c| c.get(d)) {
            Some(&value) if rng.unit() >= self.spread => value,
            _ => rng.below(size),
        };
        self.sizes.iter().enumerate().map(value).collect()
    }
}

/// The kernel of Aitchison and Aitken (1976) for unordered values: `1 − spread` at its centre, and
/// `spread` evenly over all values.
fn kernel(at_centre: bool, size: usize, spread: f64) -> f64 {
    spread / size as f64 + if at_centre { 1.0 - spread } else { 0.0 }
}

/// An index, each as likely as its weight; the weights add up to 1.
fn weighted(weights: &[f64], rng: &mut Rng) -> usize {
    let mut left = rng.unit();
    for (i, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return i;
        }
    }
    weights.len().saturating_sub(1)
}
