//! Densities over the points of a space.

use crate::data::Rng;

/// A density made of kernels around points, one share of it joint and one a product of its
/// dimensions' own densities. The kernels are those of Aitchison and Aitken (1976) for unordered
/// values: `1 − spread` at the centre, and `spread` evenly over all values.
pub(super) struct Kernels<'a> {
    sizes: &'a [usize],
    centres: Vec<&'a [usize]>,
    /// For each dimension the kernel away from its centre and at it.
    kernels: Vec<(f64, f64)>,
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
        let kernel = |&size: &usize| {
            let even = spread / size as f64;
            (even, even + 1.0 - spread)
        };
        let kernels: Vec<(f64, f64)> = sizes.iter().map(kernel).collect();
        let margin = |(d, (&size, &(away, at))): (usize, (&usize, &(f64, f64)))| {
            // One even kernel besides those of the points: nothing is impossible.
            let mut counts = vec![1.0 / size as f64; size];
            for centre in &centres {
                for (value, count) in counts.iter_mut().enumerate() {
                    *count += if centre.get(d) == Some(&value) { at } else { away };
                }
            }
            counts.iter().map(|c| c / (centres.len() + 1) as f64).collect()
        };
        let margins = sizes.iter().zip(&kernels).enumerate().map(margin).collect();
        Self { sizes, centres, kernels, spread, independent, margins }
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
            let values = point.iter().zip(centre.iter()).zip(&self.kernels);
            values.map(|((v, c), (away, at))| if v == c { at } else { away }).product()
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
