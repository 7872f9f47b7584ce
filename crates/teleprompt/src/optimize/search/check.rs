//! What every search must keep, whatever it is told.

use std::fmt::Debug;

use proptest::prelude::*;

use super::{Search, Told};

/// Fails if a search made from a seed asks for a point twice, differs between two runs of the same
/// seed and scores, does not go on in the same way after the tells of another run, or gives a best
/// point that another one beats. Searches must end; `make` gives them a small space.
pub(super) fn check_search<S>(make: impl Fn(u64) -> S)
where
    S: Search,
    S::Point: PartialEq + Debug,
{
    // A failure is not written down: one test fails on purpose.
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) };
    proptest!(config, |(seed: u64, told in scores(), width in 1usize..6)| {
        let asked = run(&mut make(seed), &told, width)?;
        prop_assert!(asked.iter().enumerate().all(|(i, p)| !asked[..i].contains(p)), "{asked:?}");
        prop_assert_eq!(&asked, &run(&mut make(seed), &told, width)?);
        let alone = run(&mut make(seed), &told, 1)?;
        for done in [0, 1, alone.len() / 2, alone.len() - 1, alone.len()] {
            let mut resumed = make(seed);
            alone[..done].iter().zip(told.iter().cycle()).for_each(|(p, t)| resumed.tell(p, *t));
            let next = resumed.ask();
            prop_assert_eq!(next.as_ref(), alone.get(done));
        }
    });
}

/// Results of all kinds, failures among them.
fn scores() -> impl Strategy<Value = Vec<Told>> {
    let mean = prop_oneof![4 => -1.0..1.0f64, 1 => Just(0.5), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)];
    let told = (mean, prop_oneof![Just(0usize), Just(5), Just(35)]);
    prop::collection::vec(told.prop_map(|(mean, n)| Told { mean, n }), 24)
}

/// The points asked for, `width` of them out at once; each is told the next result.
fn run<S>(search: &mut S, told: &[Told], width: usize) -> Result<Vec<S::Point>, TestCaseError>
where
    S: Search,
    S::Point: PartialEq + Debug,
{
    let mut asked: Vec<S::Point> = Vec::new();
    loop {
        let batch: Vec<S::Point> = (0..width).map_while(|_| search.ask()).collect();
        if batch.is_empty() {
            return Ok(asked);
        }
        prop_assert!(asked.len() < 1000, "the search does not end");
        for point in batch {
            search.tell(&point, told[asked.len() % told.len()]);
            asked.push(point);
            let known = asked.iter().zip(told.iter().cycle());
            match search.best() {
                Some((best, score)) => {
                    prop_assert!(known.clone().any(|(p, t)| p == best && *t == score));
                    prop_assert!(known.clone().all(|(_, t)| !t.beats(&score)));
                }
                None => prop_assert!(known.clone().all(|(_, t)| t.failed())),
            }
        }
    }
}

/// Asks for the same points again and again.
struct Forgetful(u32);

impl Search for Forgetful {
    type Point = u32;
    fn ask(&mut self) -> Option<u32> {
        self.0 += 1;
        (self.0 < 10).then_some(self.0 % 4)
    }
    fn tell(&mut self, _: &u32, _: Told) {}
    fn best(&self) -> Option<(&u32, Told)> {
        None
    }
}

#[test]
#[should_panic(expected = "Test failed")]
fn the_check_finds_a_broken_search() {
    check_search(|_| Forgetful(0));
}
