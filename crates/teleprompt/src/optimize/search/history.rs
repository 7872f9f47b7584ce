//! What a search was told, each point once.

use super::Told;

/// Points with what was last told of them, in the order in which they were first told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct History<P> {
    entries: Vec<(P, Told)>,
}

impl<P> Default for History<P> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<P: Clone + PartialEq> History<P> {
    pub(super) fn tell(&mut self, point: &P, score: Told) {
        match self.entries.iter_mut().find(|(known, _)| known == point) {
            Some((_, told)) => *told = score,
            None => self.entries.push((point.clone(), score)),
        }
    }

    pub(super) fn get(&self, point: &P) -> Option<Told> {
        self.entries.iter().find(|(known, _)| known == point).map(|(_, told)| *told)
    }

    pub(super) fn entries(&self) -> &[(P, Told)] {
        &self.entries
    }

    pub(super) fn best(&self) -> Option<(&P, Told)> {
        let mut best: Option<(&P, Told)> = None;
        for (point, told) in &self.entries {
            if !told.failed() && best.is_none_or(|(_, b)| told.beats(&b)) {
                best = Some((point, *told));
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_examples_beat_a_higher_mean_and_failures_never_win() {
        let mut history = History::default();
        history.tell(&"failed", Told { mean: f64::INFINITY, n: 500 });
        assert_eq!(history.best(), None);
        history.tell(&"lucky", Told { mean: 0.9, n: 35 });
        history.tell(&"full", Told { mean: 0.6, n: 100 });
        history.tell(&"equal", Told { mean: 0.6, n: 100 });
        assert_eq!(history.best(), Some((&"full", Told { mean: 0.6, n: 100 })));
        // The minibatch is replaced, not joined.
        history.tell(&"lucky", Told { mean: 0.5, n: 100 });
        assert_eq!(history.best(), Some((&"full", Told { mean: 0.6, n: 100 })));
        assert_eq!(history.entries().len(), 4);
        assert_eq!(history.get(&"lucky"), Some(Told { mean: 0.5, n: 100 }));
    }
}
