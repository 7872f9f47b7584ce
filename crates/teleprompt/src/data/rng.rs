//! Seeded random numbers: the same seed gives the same numbers on every platform and in every
//! release.

/// xoshiro256++ (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021), its
/// state filled from the seed by SplitMix64. Not for secrets.
///
/// ```
/// use teleprompt::data::Rng;
/// let rng = Rng::new(7);
/// // Streams of their own for parts of a study: what one draws never moves another.
/// let (mut demos, mut batches) = (rng.derive("demos"), rng.derive("batches"));
/// assert_ne!(demos.next_u64(), batches.next_u64());
/// assert_eq!(Rng::new(7).derive("demos").sample(100, 3), rng.derive("demos").sample(100, 3));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    seed: u64,
    state: [u64; 4],
}

impl Rng {
    /// A generator from a seed.
    pub fn new(seed: u64) -> Self {
        let mut mix = seed;
        let state = std::array::from_fn(|_| split_mix(&mut mix));
        Self { seed, state }
    }

    /// A generator of its own for a named purpose. It depends on the seed and the label alone, not
    /// on what this generator has drawn, so parts of a study do not disturb each other.
    #[must_use]
    pub fn derive(&self, label: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(label.as_bytes());
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        Self::new(u64::from_le_bytes(bytes))
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let t = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= t;
        *d = d.rotate_left(45);
        result
    }

    /// A number from 0 (included) to 1 (excluded), in steps of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A whole number below `n`, all equally likely; 0 for `n = 0`. (Lemire, "Fast random integer
    /// generation in an interval", 2019.)
    pub fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        if n == 0 {
            return 0;
        }
        let mut product = u128::from(self.next_u64()) * u128::from(n);
        if (product as u64) < n {
            let threshold = n.wrapping_neg() % n;
            while (product as u64) < threshold {
                product = u128::from(self.next_u64()) * u128::from(n);
            }
        }
        (product >> 64) as usize
    }

    /// Puts the items in random order, all orders equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// `k` different whole numbers below `n` in random order; all `n` of them if `k > n`.
    pub fn sample(&mut self, n: usize, k: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        let k = k.min(n);
        for i in 0..k {
            all.swap(i, i + self.below(n - i));
        }
        all.truncate(k);
        all
    }

    /// One of the items; `None` if there is none.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_reference_code() {
        // The vectors of the authors' C code for the state 1, 2, 3, 4.
        let mut rng = Rng { seed: 0, state: [1, 2, 3, 4] };
        let drawn: Vec<u64> = (0..5).map(|_| rng.next_u64()).collect();
        let expected = [
            41_943_041,
            58_720_359,
            3_588_806_011_781_223,
            3_591_011_842_654_386,
            9_228_616_714_210_784_205,
        ];
        assert_eq!(drawn, expected);
        assert_eq!(split_mix(&mut 0), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn derived_streams_depend_on_seed_and_label_alone() {
        let mut used = Rng::new(3);
        used.next_u64();
        assert_eq!(used.derive("a"), Rng::new(3).derive("a"));
        assert_ne!(used.derive("a"), used.derive("b"));
        assert_ne!(Rng::new(3).derive("a"), Rng::new(4).derive("a"));
    }

    #[test]
    fn below_is_even_and_in_range() {
        let mut rng = Rng::new(1);
        let mut counts = [0u32; 6];
        for _ in 0..60_000 {
            counts[rng.below(6)] += 1;
        }
        // Five standard deviations of a binomial with n = 60,000, p = 1/6.
        assert!(counts.iter().all(|&c| c.abs_diff(10_000) < 460), "{counts:?}");
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
    }

    #[test]
    fn shuffles_and_samples_have_every_item_once() {
        let mut rng = Rng::new(5);
        let mut items: Vec<usize> = (0..50).collect();
        rng.shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
        let mut sample = rng.sample(10, 4);
        sample.sort_unstable();
        sample.dedup();
        assert_eq!(sample.len(), 4);
        assert!(sample.iter().all(|&i| i < 10));
        assert_eq!(rng.sample(3, 9).len(), 3);
        assert_eq!(rng.choose::<u8>(&[]), None);
    }
}
