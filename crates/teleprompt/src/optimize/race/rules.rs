//! What each race decides when no cell is out.

use super::Race;
use super::racer::{Entrant, Racer};
use crate::evaluate::stats;

impl Racer {
    /// On how many examples an entrant starts.
    pub(super) fn first_target(&self) -> usize {
        let all = self.order.len();
        match self.race {
            Race::Full | Race::KFold { .. } => all,
            Race::Minibatch { size, .. } => size.max(1).min(all),
            Race::Halving { start, .. } | Race::Wilcoxon { start, .. } => start.max(1).min(all),
        }
    }

    /// Raises targets or prunes; whether anything was decided. All entrants have reached their
    /// targets.
    pub(super) fn decide(&mut self) -> bool {
        match self.race {
            Race::Full | Race::KFold { .. } => false,
            Race::Minibatch { promote_every, .. } => self.promote(promote_every.max(1)),
            Race::Halving { factor, .. } => self.halve(factor.max(2)),
            Race::Wilcoxon { step, alpha, .. } => self.test(step.max(1), alpha),
        }
    }

    fn promote(&mut self, every: usize) -> bool {
        let racing = self.entrants.iter().enumerate().filter(|(_, entrant)| entrant.racing());
        let Some(next) = self.highest(racing) else { return false };
        let due = self.promoted < self.entrants.len() / every;
        if due || (self.finished && self.may_win(next)) {
            self.promoted += usize::from(due);
            let all = self.order.len();
            self.entrants.iter_mut().skip(next).take(1).for_each(|entrant| entrant.target = all);
            return true;
        }
        self.finished && self.prune_unpromoted()
    }

    /// Whether none is complete, or the entrant is above the best complete one on its examples.
    fn may_win(&self, entrant: usize) -> bool {
        let Some(best) = self.best() else { return true };
        self.differences(entrant, best).iter().sum::<f64>() > 0.0
    }

    fn prune_unpromoted(&mut self) -> bool {
        let Some((best, mean)) = self.incumbent() else { return false };
        for entrant in self.entrants.iter_mut().filter(|entrant| entrant.racing()) {
            entrant.pruned = Some(format!(
                "its mean {:.3} on the minibatch of {} examples earned no promotion; entrant {best} \
                 has {mean:.3} on all",
                entrant.mean(),
                entrant.n,
            ));
        }
        true
    }

    fn halve(&mut self, factor: usize) -> bool {
        let (all, size) = (self.order.len(), self.batch());
        let mut decided = false;
        let mut seated: Vec<&mut Entrant> =
            self.entrants.iter_mut().filter(|entrant| !entrant.whole).collect();
        for bracket in seated.chunks_mut(size) {
            if bracket.len() < size && !self.finished {
                continue;
            }
            let mut racing: Vec<&mut Entrant> =
                bracket.iter_mut().map(|e| &mut **e).filter(|e| e.racing()).collect();
            if racing.is_empty() {
                continue;
            }
            // Stable: of equal ones the earlier stay.
            racing.sort_by(|a, b| b.mean().total_cmp(&a.mean()));
            let keep = racing.len().div_ceil(factor);
            let (of, last) = (racing.len(), racing.get(keep - 1).map_or(0.0, |e| e.mean()));
            for entrant in racing.split_off(keep) {
                let (mean, n) = (entrant.mean(), entrant.n);
                entrant.pruned = Some(format!(
                    "its mean {mean:.3} on {n} examples is not among the best {keep} of {of}, which \
                     begin at {last:.3}"
                ));
            }
            for entrant in racing {
                let more = entrant.target.saturating_mul(factor).min(all);
                entrant.target = if keep == 1 { all } else { more };
            }
            decided = true;
        }
        decided
    }

    fn test(&mut self, step: usize, alpha: f64) -> bool {
        let all = self.order.len();
        let racing = self.entrants.iter().enumerate().filter(|(_, entrant)| entrant.racing());
        let racing: Vec<usize> = racing.map(|(id, _)| id).collect();
        let Some(best) = self.best() else {
            // Nothing to compare with: the first becomes it.
            let first = racing.first().and_then(|&id| self.entrants.get_mut(id));
            return first.map(|entrant| entrant.target = all).is_some();
        };
        for &id in &racing {
            let why = self.worse(id, best, alpha).or_else(|| self.too_far(id, best, alpha));
            if let Some(entrant) = self.entrants.get_mut(id) {
                entrant.target = entrant.target.saturating_add(step).min(all);
                entrant.pruned = why;
            }
        }
        !racing.is_empty()
    }

    /// Why an entrant is significantly worse than another, if it is.
    fn worse(&self, entrant: usize, best: usize, alpha: f64) -> Option<String> {
        let differences = self.differences(entrant, best);
        let mean = stats::mean(&differences);
        if mean >= 0.0 {
            return None;
        }
        let p = stats::wilcoxon(&differences).less;
        (p < alpha).then(|| {
            format!(
                "it is worse than entrant {best} by {:.3} on {} examples, p = {p:.3} in a one-sided \
                 signed-rank test, below {alpha}",
                -mean,
                differences.len(),
            )
        })
    }

    /// Why an entrant will hardly win any more, if so: were it as good as the other on the examples
    /// left, with differences as large as so far, it would seldom make up what it is behind.
    fn too_far(&self, entrant: usize, best: usize, alpha: f64) -> Option<String> {
        let differences = self.differences(entrant, best);
        let behind = -differences.iter().sum::<f64>();
        let squares: Vec<f64> = differences.iter().map(|d| d * d).collect();
        let left = self.order.len() - differences.len();
        let chance = stats::normal_tail(behind / (left as f64 * stats::mean(&squares)).sqrt());
        (behind > 0.0 && chance < alpha).then(|| {
            format!(
                "it is behind entrant {best} by {behind:.2} in sum after {} examples, to be made up \
                 on the {left} left with a chance of {chance:.3}, below {alpha}",
                differences.len(),
            )
        })
    }

    /// How much better one entrant is than another on each example that both ran on.
    fn differences(&self, entrant: usize, other: usize) -> Vec<f64> {
        let (Some(here), Some(there)) = (self.entrants.get(entrant), self.entrants.get(other))
        else {
            return Vec::new();
        };
        let both = self.order.iter().filter_map(|&i| Some(here.score(i)? - there.score(i)?));
        both.collect()
    }

    fn incumbent(&self) -> Option<(usize, f64)> {
        let best = self.best()?;
        Some((best, self.entrants.get(best)?.mean()))
    }
}
