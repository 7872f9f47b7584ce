//! System-aware merge: what two candidates learnt, put together.

use teleprompt_core::Result;

use super::evolve::Evolution;
use crate::data::Rng;
use crate::optimize::search::Merge;
use crate::optimize::study::{Run, Split};
use crate::optimize::{Call, Candidate};

impl Evolution<'_, '_> {
    /// Tries a merge, if one is due and there is a pair; whether a merge was tested.
    pub async fn merge(&mut self, rng: &mut Rng) -> Result<bool> {
        let merging = &self.merging;
        let due = merging.found && merging.due > 0;
        if !self.recipe.use_merge || !due {
            return Ok(false);
        }
        let Some(merge) = self.front.merge_pair(&merging.tried, rng) else { return Ok(false) };
        self.merging.tried.insert(merge);
        let floor = self.recipe.merge_overlap_floor.max(1);
        let places = self.front.merge_sample(&merge, floor, rng);
        if places.len() < floor {
            return Ok(false);
        }
        let texts = self.front.merge(&merge, rng);
        let origin = format!("merge of {} and {}", self.origin(merge.a), self.origin(merge.b));
        let Some(child) = self.child(origin, &texts, &[merge.a, merge.b])? else {
            return Ok(false);
        };
        self.merging.tested += 1;
        self.merging.due -= 1;
        self.merging.found = false;
        self.test(merge, child, &places).await?;
        Ok(true)
    }

    fn origin(&self, id: usize) -> &str {
        self.members.get(id).map_or("", |member| &member.candidate.origin)
    }

    /// Admits a merge that is no worse than both its parents on a few validation examples.
    async fn test(&mut self, merge: Merge, child: Candidate, places: &[usize]) -> Result<()> {
        let calls: Vec<Call<'_>> =
            places.iter().map(|place| Call::new(&child, Split::Val, *place)).collect();
        let sum = |runs: &[Run]| runs.iter().map(|run| run.score).sum::<f64>();
        let after = sum(&self.task.run_all(&calls).await?);
        let parent = |id: usize| {
            let known = self.members.get(id).map(|member| &member.runs);
            let scores = places.iter().filter_map(|place| Some(known?.get(place)?.score));
            scores.sum::<f64>()
        };
        let (a, b) = (parent(merge.a), parent(merge.b));
        let n = places.len();
        if !is_worth(after, [a, b]) {
            let why = format!(
                "{after:.4} in sum on {n} validation examples, its parents {a:.4} and {b:.4}"
            );
            let mean = Some(after / n as f64);
            return self.task.decide(&child, false, mean, n, why);
        }
        let turn = |id: usize| self.members.get(id).map_or(0, |member| member.turn);
        let turn = turn(merge.a).max(turn(merge.b));
        self.admit(child, vec![merge.a, merge.b], turn).await
    }
}

/// Whether a merge with this sum of scores is to be validated.
fn is_worth(merged: f64, parents: [f64; 2]) -> bool {
    parents.iter().all(|parent| merged >= *parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_must_be_no_worse_than_either_parent() {
        assert!(is_worth(2.0, [2.0, 1.0]));
        assert!(is_worth(0.0, [0.0, 0.0]));
        assert!(!is_worth(1.5, [2.0, 1.0]));
        assert!(!is_worth(1.5, [1.0, 2.0]));
    }
}
