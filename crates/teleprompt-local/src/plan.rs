//! A request, checked and with every default filled in.

use teleprompt_core::{LmRequest, LmSettings};

use crate::rng::Rng;
use crate::sampler::Sampler;

/// How to answer a request.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Completions.
    pub(crate) n: usize,
    /// Most tokens of a completion.
    pub(crate) max_tokens: usize,
    /// Texts that end a completion.
    pub(crate) stop: Vec<String>,
    /// Rivals to report for each token, if log-probabilities are wanted.
    pub(crate) logprobs: Option<usize>,
    temperature: f32,
    top_p: f32,
    seed: u64,
    rollout: u64,
}

impl Plan {
    /// Checks the request; the error is a text that names the setting.
    pub(crate) fn new(request: &LmRequest, max_tokens_default: u32) -> Result<Self, String> {
        if request.messages.is_empty() {
            return Err("the request has no messages; give at least one".to_owned());
        }
        if request.n == 0 {
            return Err("n must be at least 1, not 0".to_owned());
        }
        let LmSettings { temperature, top_p, max_tokens, seed, stop, logprobs, .. } =
            &request.settings;
        let temperature = temperature.unwrap_or(0.0);
        if !temperature.is_finite() || temperature < 0.0 {
            return Err(format!("temperature must be a number of at least 0, not {temperature}"));
        }
        let top_p = top_p.unwrap_or(1.0);
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(format!("top_p must be above 0 and at most 1, not {top_p}"));
        }
        let max_tokens = max_tokens.unwrap_or(max_tokens_default);
        if max_tokens == 0 {
            return Err("max_tokens must be at least 1, not 0".to_owned());
        }
        Ok(Self {
            n: request.n as usize,
            max_tokens: max_tokens as usize,
            stop: stop.clone(),
            logprobs: logprobs.map(|k| k as usize),
            temperature,
            top_p,
            seed: seed.unwrap_or(0),
            rollout: request.rollout,
        })
    }

    /// The sampler of completion `index`.
    pub(crate) fn sampler(&self, index: usize) -> Sampler {
        let rng = Rng::new(self.seed, index as u64, self.rollout);
        Sampler::new(self.temperature, self.top_p, rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use teleprompt_core::Message;

    fn plan(change: impl FnOnce(&mut LmRequest)) -> Result<Plan, String> {
        let mut request = LmRequest::new(vec![Message::user("x")]);
        change(&mut request);
        Plan::new(&request, 512)
    }

    #[test]
    fn defaults_are_filled_in() {
        let plan = plan(|_| ()).unwrap();
        assert_eq!((plan.n, plan.max_tokens, plan.temperature, plan.top_p), (1, 512, 0.0, 1.0));
    }

    #[test]
    fn nonsense_is_named() {
        let wrong = |change: fn(&mut LmRequest)| plan(change).unwrap_err();
        assert!(wrong(|r| r.messages.clear()).contains("messages"));
        assert!(wrong(|r| r.n = 0).contains("n must"));
        assert!(wrong(|r| r.settings.temperature = Some(-1.0)).contains("temperature"));
        assert!(wrong(|r| r.settings.temperature = Some(f32::NAN)).contains("temperature"));
        assert!(wrong(|r| r.settings.top_p = Some(0.0)).contains("top_p"));
        assert!(wrong(|r| r.settings.top_p = Some(1.5)).contains("top_p"));
        assert!(wrong(|r| r.settings.max_tokens = Some(0)).contains("max_tokens"));
    }
}
