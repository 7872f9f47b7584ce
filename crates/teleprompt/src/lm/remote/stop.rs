//! Stop texts for servers that have none.

use teleprompt_core::{Completion, FinishReason};

/// Cuts a streamed text at the first stop text. What may be the beginning of one is held back.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    held: String,
    cut: bool,
}

impl Cutter {
    /// Takes in more text and gives what can be told of it.
    pub(super) fn feed(&mut self, text: &str, stops: &[String]) -> String {
        if self.cut {
            return String::new();
        }
        self.held.push_str(text);
        if let Some(at) = first(&self.held, stops) {
            self.cut = true;
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        let begins = |at: &usize| {
            let tail = self.held.get(*at..).unwrap_or_default();
            stops.iter().any(|stop| !stop.is_empty() && stop.starts_with(tail))
        };
        let at = self.held.char_indices().map(|(at, _)| at).find(begins);
        let kept = self.held.split_off(at.unwrap_or(self.held.len()));
        std::mem::replace(&mut self.held, kept)
    }

    /// What was held back and is no stop text after all.
    pub(super) fn rest(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Where the first stop text begins.
fn first(text: &str, stops: &[String]) -> Option<usize> {
    stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop.as_str())).min()
}

/// Cuts a whole completion.
pub(super) fn cut(completion: &mut Completion, stops: &[String]) {
    let Some(at) = first(&completion.text, stops) else { return };
    completion.text.truncate(at);
    completion.finish = FinishReason::Stop;
    if let Some(tokens) = &mut completion.logprobs {
        let mut length = 0;
        let whole = tokens.iter().take_while(|token| {
            length += token.token.len();
            length <= at
        });
        let kept = whole.count();
        tokens.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_pieces(text: &str, at: &[usize], stops: &[String]) -> String {
        let chars: Vec<char> = text.chars().collect();
        let mut cuts: Vec<usize> = at.iter().map(|c| (*c).min(chars.len())).collect();
        cuts.extend([0, chars.len()]);
        cuts.sort_unstable();
        let mut cutter = Cutter::default();
        let mut out = String::new();
        for pair in cuts.windows(2) {
            let piece: String = chars[pair[0]..pair[1]].iter().collect();
            out.push_str(&cutter.feed(&piece, stops));
        }
        out + &cutter.rest()
    }

    #[test]
    fn a_piece_is_told_as_soon_as_it_is_safe() {
        let stops = ["END".to_owned()];
        let mut cutter = Cutter::default();
        assert_eq!(cutter.feed("one E", &stops), "one ");
        assert_eq!(cutter.feed("Nough EN", &stops), "ENough ");
        assert_eq!(cutter.feed("D more", &stops), "");
        assert_eq!(cutter.feed("more", &stops), "");
        assert_eq!(cutter.rest(), "");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn streams_and_wholes_are_cut_alike(
            text in "[abé]{0,12}",
            stops in prop::collection::vec("[abé]{0,3}", 0..3),
            at in prop::collection::vec(0usize..12, 0..6),
        ) {
            let mut whole = Completion::text(text.clone());
            cut(&mut whole, &stops);
            prop_assert_eq!(in_pieces(&text, &at, &stops), whole.text);
        }
    }
}
