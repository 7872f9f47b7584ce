//! Finite spaces: a choice in each of several dimensions.

use std::collections::BTreeSet;

use teleprompt_core::{Error, Result};

use crate::data::Rng;

/// The combinations of one value in each dimension, such as which instructions and which demos each
/// predictor gets. A point is a value for each dimension, counted from 0.
///
/// ```
/// use teleprompt::optimize::search::Space;
/// let space = Space::new(vec![2, 3])?;
/// assert_eq!(space.size(), 6);
/// assert_eq!(space.points().nth(4), Some(vec![1, 1]));
/// assert_eq!(space.draws(7).count(), 6);
/// # Ok::<(), teleprompt::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    sizes: Vec<usize>,
}

impl Space {
    /// A space with this many values in each dimension. Without dimensions it has one point, the
    /// empty one.
    ///
    /// # Errors
    /// A dimension has no values.
    pub fn new(sizes: Vec<usize>) -> Result<Self> {
        match sizes.iter().position(|&size| size == 0) {
            None => Ok(Self { sizes }),
            Some(d) => Err(Error::input(format!(
                "dimension {d} of the search space has no values; give it at least one, or leave it out"
            ))),
        }
    }

    /// The number of values of each dimension.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The number of points; the largest number where there are more than it can say.
    pub fn size(&self) -> u128 {
        self.sizes.iter().fold(1, |size: u128, &n| size.saturating_mul(n as u128))
    }

    /// Whether the point has a value of each dimension.
    pub fn contains(&self, point: &[usize]) -> bool {
        point.len() == self.sizes.len() && point.iter().zip(&self.sizes).all(|(v, n)| v < n)
    }

    /// A point, all equally likely.
    pub fn random(&self, rng: &mut Rng) -> Vec<usize> {
        self.sizes.iter().map(|&n| rng.below(n)).collect()
    }

    /// All points in order, the last dimension fastest.
    pub fn points(&self) -> impl Iterator<Item = Vec<usize>> + '_ {
        let first = vec![0; self.sizes.len()];
        std::iter::successors(Some(first), |point| self.after(point))
    }

    fn after(&self, point: &[usize]) -> Option<Vec<usize>> {
        let mut next = point.to_vec();
        for (value, size) in next.iter_mut().zip(&self.sizes).rev() {
            *value += 1;
            if *value < *size {
                return Some(next);
            }
            *value = 0;
        }
        None
    }

    /// Random points, none twice, until there are no more.
    pub fn draws(&self, seed: u64) -> Draws {
        let rng = Rng::new(seed).derive("draws");
        Draws { space: self.clone(), seen: BTreeSet::new(), rng }
    }

    /// A random point that is not among those seen; none when all are.
    ///
    /// Draws and rejects while at most 15 of 16 points are seen (16 draws on average), and lists
    /// what is left after that, so that the space is exhausted for sure.
    pub(super) fn unseen(&self, seen: &BTreeSet<Vec<usize>>, rng: &mut Rng) -> Option<Vec<usize>> {
        let known = seen.len() as u128;
        if known >= self.size() {
            return None;
        }
        if known.saturating_mul(16) > self.size().saturating_mul(15) {
            let left: Vec<Vec<usize>> = self.points().filter(|p| !seen.contains(p)).collect();
            return rng.choose(&left).cloned();
        }
        loop {
            let point = self.random(rng);
            if !seen.contains(&point) {
                return Some(point);
            }
        }
    }
}

/// Random points of a [`Space`], none twice ([`Space::draws`]).
#[derive(Clone, Debug)]
pub struct Draws {
    space: Space,
    seen: BTreeSet<Vec<usize>>,
    rng: Rng,
}

impl Iterator for Draws {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        let point = self.space.unseen(&self.seen, &mut self.rng)?;
        self.seen.insert(point.clone());
        Some(point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_counted_and_checked() {
        assert_eq!(Space::new(vec![2, 3, 1]).unwrap().size(), 6);
        assert_eq!(Space::new(vec![]).unwrap().points().collect::<Vec<_>>(), [Vec::<usize>::new()]);
        assert_eq!(Space::new(vec![usize::MAX; 3]).unwrap().size(), u128::MAX);
        let error = Space::new(vec![4, 0]).unwrap_err().to_string();
        assert!(error.contains("dimension 1"), "{error}");
        let space = Space::new(vec![2, 3]).unwrap();
        assert!(space.contains(&[1, 2]) && !space.contains(&[2, 0]) && !space.contains(&[1]));
    }

    #[test]
    fn draws_give_every_point_once_in_another_order_for_each_seed() {
        let space = Space::new(vec![4, 5, 6]).unwrap();
        let drawn: Vec<_> = space.draws(1).collect();
        assert_eq!(drawn, space.draws(1).collect::<Vec<_>>());
        assert_ne!(drawn, space.draws(2).collect::<Vec<_>>());
        let sorted: BTreeSet<_> = drawn.iter().cloned().collect();
        assert_eq!(sorted.into_iter().collect::<Vec<_>>(), space.points().collect::<Vec<_>>());
        // More points than a number can say are still drawn from.
        assert_eq!(Space::new(vec![usize::MAX; 3]).unwrap().draws(1).take(3).count(), 3);
    }
}
