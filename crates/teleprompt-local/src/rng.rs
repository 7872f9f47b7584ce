//! A small seeded generator: the same seed gives the same numbers on every platform.

/// SplitMix64: enough for drawing tokens, and neighbouring seeds give unrelated sequences.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// The generator of one completion: `index` tells apart the completions of a request,
    /// `rollout` requests that are otherwise equal. Rollout 0 is the plain seed.
    pub(crate) fn new(seed: u64, index: u64, rollout: u64) -> Self {
        let base = seed.wrapping_add(index);
        let offset = if rollout == 0 { 0 } else { Rng(rollout).next() };
        Self(base ^ offset)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seed: u64, index: u64, rollout: u64) -> f64 {
        Rng::new(seed, index, rollout).unit()
    }

    #[test]
    fn is_reproducible_and_tells_seeds_and_rollouts_apart() {
        assert_eq!(first(7, 0, 0), first(7, 0, 0));
        assert_eq!(first(7, 1, 0), first(8, 0, 0));
        assert_ne!(first(7, 0, 0), first(7, 1, 0));
        assert_ne!(first(7, 0, 0), first(7, 0, 1));
        assert_ne!(first(7, 0, 1), first(7, 0, 2));
    }

    #[test]
    fn is_uniform_enough() {
        let mut rng = Rng::new(1, 0, 0);
        let mean = (0..10_000).map(|_| rng.unit()).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }
}
