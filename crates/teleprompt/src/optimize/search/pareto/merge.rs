//! System-aware merge: the changed parts of two descendants of one candidate put together.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Components, Entry, Front};
use crate::data::Rng;

/// Two candidates to merge and the ancestor that they have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Merge {
    /// One candidate.
    pub a: usize,
    /// The other, with the greater number.
    pub b: usize,
    /// What both come from.
    pub ancestor: usize,
}

impl Front {
    /// Two candidates worth merging, that are not among those `tried`: both not dominated, neither
    /// the other's ancestor, and with a common ancestor whose mean is not above either's and of
    /// which some component was changed by exactly one of them. All such pairs are equally likely;
    /// of several ancestors it is the best.
    pub fn merge_pair(&self, tried: &BTreeSet<Merge>, rng: &mut Rng) -> Option<Merge> {
        let ids: Vec<usize> = self.non_dominated().into_iter().collect();
        let ancestors: Vec<BTreeSet<usize>> = ids.iter().map(|&id| self.ancestors(id)).collect();
        let mut pairs = Vec::new();
        for (i, (&a, of_a)) in ids.iter().zip(&ancestors).enumerate() {
            for (&b, of_b) in ids.iter().zip(&ancestors).skip(i + 1) {
                if of_a.contains(&b) || of_b.contains(&a) {
                    continue;
                }
                let merges = of_a.intersection(of_b).map(|&ancestor| Merge { a, b, ancestor });
                let new = merges.filter(|merge| !tried.contains(merge) && self.pays(merge));
                let ancestor = self.best_of(new.map(|merge| merge.ancestor));
                pairs.extend(ancestor.map(|ancestor| Merge { a, b, ancestor }));
            }
        }
        rng.choose(&pairs).copied()
    }

    /// The components of a merge. One that only one of both changed is taken from that one; one
    /// that both changed, from the one with the higher mean, or from either if they are equal.
    pub fn merge(&self, merge: &Merge, rng: &mut Rng) -> Components {
        let (a, b) = (self.mean(merge.a), self.mean(merge.b));
        let prefer_a = a > b || (a == b && rng.below(2) == 0);
        let keys: BTreeSet<&Arc<str>> = [merge.ancestor, merge.a, merge.b]
            .iter()
            .filter_map(|&id| self.entries.get(id))
            .flat_map(|entry| entry.components.keys())
            .collect();
        let chosen = |key: &Arc<str>| {
            let [before, a, b] =
                [merge.ancestor, merge.a, merge.b].map(|id| self.component(id, key));
            match (a == before, b == before) {
                (true, _) => b,
                (_, true) => a,
                _ => {
                    if prefer_a {
                        a
                    } else {
                        b
                    }
                }
            }
        };
        keys.into_iter().filter_map(|key| Some((key.clone(), chosen(key)?.clone()))).collect()
    }

    /// Instances on which to try a merge first, at most `size` of those that both were evaluated on:
    /// as many where `a` is the better, where `b` is, and where they are equal, as far as there are,
    /// and any others for what is missing.
    pub fn merge_sample(&self, merge: &Merge, size: usize, rng: &mut Rng) -> Vec<usize> {
        let (Some(a), Some(b)) = (self.entries.get(merge.a), self.entries.get(merge.b)) else {
            return Vec::new();
        };
        let mut kinds = [Vec::new(), Vec::new(), Vec::new()];
        for (instance, of_a) in &a.scores {
            let Some(of_b) = b.scores.get(instance) else { continue };
            let [better_a, better_b, equal] = &mut kinds;
            let kind = if of_a > of_b {
                better_a
            } else if of_b > of_a {
                better_b
            } else {
                equal
            };
            kind.push(*instance);
        }
        kinds.iter_mut().for_each(|kind| rng.shuffle(kind));
        let third = size.div_ceil(3);
        let mut rest = Vec::new();
        let mut sample = Vec::new();
        for mut kind in kinds {
            rest.extend(kind.split_off(third.min(kind.len())));
            sample.extend(kind);
        }
        sample.truncate(size);
        rng.shuffle(&mut rest);
        sample.extend(rest.into_iter().take(size - sample.len()));
        sample
    }

    fn component(&self, id: usize, key: &Arc<str>) -> Option<&Arc<str>> {
        self.entries.get(id)?.components.get(key)
    }

    fn pays(&self, merge: &Merge) -> bool {
        let Merge { a, b, ancestor } = *merge;
        let one_changed = |entry: &Entry| {
            entry.components.keys().any(|key| {
                let [before, a, b] = [ancestor, a, b].map(|id| self.component(id, key));
                (a == before) != (b == before)
            })
        };
        self.mean(ancestor) <= self.mean(a).min(self.mean(b))
            && [ancestor, a, b].iter().filter_map(|&id| self.entries.get(id)).any(one_changed)
    }

    /// Parents, their parents and so on.
    fn ancestors(&self, id: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open = vec![id];
        while let Some(entry) = open.pop().and_then(|id| self.entries.get(id)) {
            open.extend(entry.parents.iter().filter(|parent| found.insert(**parent)));
        }
        found
    }
}
