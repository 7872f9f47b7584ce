//! Passage match, for retrieval.

use teleprompt_core::{Context, Example, Metric, MetricHandle, Prediction, Result, Score};

use super::fields::{label, output, text_answers};
use super::normalize::{has_run, tokens};

/// Whether one of the passages of the prediction holds the label, or one of a list of labels: as
/// whole tokens in one piece, both normalised as [`super::normalize`] does (DPR, Karpukhin et al.
/// 2020). `answer` is the label in the example, `passages` a text or list of texts in the
/// prediction. A label without tokens is held by none.
pub fn passage_match(answer: impl Into<String>, passages: impl Into<String>) -> MetricHandle {
    MetricHandle::new(PassageMatch { answer: answer.into(), passages: passages.into() })
}

struct PassageMatch {
    answer: String,
    passages: String,
}

impl Metric for PassageMatch {
    async fn score(&self, _: &Context, e: &Example, p: &Prediction) -> Result<Score> {
        let answers = text_answers(&self.answer, label(&self.answer, e, p)?)?;
        let passages = text_answers(&self.passages, output(&self.passages, e, p)?)?;
        let passages: Vec<_> = passages.into_iter().map(tokens).collect();
        let held = |answer: &&str| {
            let answer = tokens(answer);
            passages.iter().any(|passage| has_run(passage, &answer))
        };
        Ok(answers.iter().any(held).into())
    }
    fn name(&self) -> String {
        format!("passage_match:{},{}", self.answer, self.passages)
    }
}
