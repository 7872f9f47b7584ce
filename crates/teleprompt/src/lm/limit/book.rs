//! What began within the last minute, and what the provider said of its limits.

use std::collections::VecDeque;
use std::time::Duration;

use teleprompt_core::{LmRequest, LmResponse, RateStatus};
use tokio::time::Instant;

use super::RateLimitConfig;
use crate::lm::rate::LONGEST;

const MINUTE: Duration = Duration::from_secs(60);
/// Output tokens expected while no call has ended yet.
const FIRST_GUESS: f64 = 256.0;
/// Calls that the running mean of output tokens goes back, roughly.
const REMEMBERED: f64 = 32.0;

/// The state of the limits.
pub(super) struct Book {
    config: RateLimitConfig,
    /// The calls of the last minute, oldest first.
    window: VecDeque<Began>,
    /// The number of the first call in `window`; they are numbered as they begin.
    first: u64,
    /// Tokens of the calls in `window`.
    window_tokens: u64,
    /// Calls and tokens of all times, as estimated when they began.
    sum: Sum,
    /// Mean output tokens of a completion, and over how many calls.
    mean: f64,
    calls: f64,
    requests: Told,
    tokens: Told,
    paused: Option<Pause>,
}

/// A provider refused a call and asked to wait.
#[derive(Clone, Copy)]
struct Pause {
    until: Instant,
    /// The number of the latest call that was refused.
    refused: u64,
}

/// Until when a call has to wait if nothing changes.
pub(super) struct Held {
    pub until: Instant,
    /// The part of it that the provider asks for; in the past if it asks for nothing.
    pub by_provider: Instant,
}

struct Began {
    at: Instant,
    tokens: u64,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    requests: u64,
    tokens: u64,
}

/// A call that has begun.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    number: u64,
    /// Up to and including this call.
    sum: Sum,
    n: u32,
}

/// What a provider said of one of its limits.
#[derive(Clone, Copy, Default)]
struct Told {
    said: Option<Said>,
}

#[derive(Clone, Copy)]
struct Said {
    at: Instant,
    limit: Option<u64>,
    remaining: u64,
    /// What comes back, a second; 0 where that is not told.
    rate: f64,
    /// When all is there again.
    reset: Instant,
    /// All that had begun, in the unit of this limit, when the call that it was said to began.
    before: u64,
}

impl Told {
    /// The latest call that was answered tells best: what began after it may not be counted in what
    /// was said, so it is taken off.
    fn hear(
        &mut self,
        at: Instant,
        before: u64,
        limit: Option<u64>,
        remaining: Option<u64>,
        reset: Option<Duration>,
    ) {
        let Some(remaining) = remaining else { return };
        if self.said.is_some_and(|s| s.before > before && s.reset > at) {
            return;
        }
        let reset = reset.unwrap_or(MINUTE).min(LONGEST);
        let back = limit.map_or(0, |limit| limit.saturating_sub(remaining));
        let rate = if reset.is_zero() { 0.0 } else { back as f64 / reset.as_secs_f64() };
        self.said = Some(Said { at, limit, remaining, rate, reset: at + reset, before });
    }

    /// When so much more may begin; `None`: now.
    fn until(&mut self, now: Instant, begun: u64, amount: u64) -> Option<Instant> {
        self.renew(now, begun);
        let said = self.said?;
        let since = begun.saturating_sub(said.before).saturating_add(amount);
        let missing = since.saturating_sub(said.remaining) as f64;
        if missing == 0.0 {
            return None;
        }
        // Where no rate is told, all comes back at the reset.
        let wait = Duration::try_from_secs_f64(missing / said.rate).unwrap_or(LONGEST);
        let until = (said.at + wait.min(LONGEST)).min(said.reset);
        (until > now).then_some(until)
    }

    /// When all is there again, that is the whole limit and not more.
    fn renew(&mut self, now: Instant, begun: u64) {
        let Some(said) = self.said.filter(|s| s.reset <= now) else { return };
        self.said = said.limit.map(|limit| Said {
            at: now,
            remaining: limit,
            rate: limit as f64 / MINUTE.as_secs_f64(),
            reset: now + MINUTE,
            before: begun,
            ..said
        });
    }
}

impl Book {
    pub(super) fn new(config: RateLimitConfig) -> Self {
        Self {
            config,
            window: VecDeque::new(),
            first: 0,
            window_tokens: 0,
            sum: Sum::default(),
            mean: FIRST_GUESS,
            calls: 0.0,
            requests: Told::default(),
            tokens: Told::default(),
            paused: None,
        }
    }

    /// Lets a call begin, or says until when it has to wait if nothing changes.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        prompt: u64,
        request: &LmRequest,
    ) -> Result<Entry, Held> {
        self.forget(now);
        let tokens = prompt.saturating_add(self.expected_output(request));
        let theirs = [
            self.paused.map(|pause| pause.until).filter(|until| *until > now),
            self.requests.until(now, self.sum.requests, 1),
            self.tokens.until(now, self.sum.tokens, tokens),
        ];
        let theirs = theirs.into_iter().flatten().max();
        let ours = self.room_for_request().max(self.room_for_tokens(tokens));
        if let Some(until) = theirs.max(ours) {
            return Err(Held { until, by_provider: theirs.unwrap_or(now) });
        }
        let number = self.first + self.window.len() as u64;
        self.window.push_back(Began { at: now, tokens });
        self.window_tokens += tokens;
        self.sum.requests += 1;
        self.sum.tokens = self.sum.tokens.saturating_add(tokens);
        Ok(Entry { number, sum: self.sum, n: request.n.max(1) })
    }

    fn forget(&mut self, now: Instant) {
        while let Some(began) = self.window.pop_front_if(|b| now >= b.at + MINUTE) {
            self.first += 1;
            self.window_tokens -= began.tokens;
        }
    }

    fn expected_output(&self, request: &LmRequest) -> u64 {
        let most = request.settings.max_tokens.map_or(f64::INFINITY, f64::from);
        // Floats that do not fit saturate.
        (self.mean.min(most) * f64::from(request.n.max(1))).ceil() as u64
    }

    fn room_for_request(&self) -> Option<Instant> {
        let limit = self.config.requests_per_minute?.max(1) as usize;
        let too_many = (self.window.len() + 1).checked_sub(limit).filter(|n| *n > 0)?;
        self.window.get(too_many - 1).map(|b| b.at + MINUTE)
    }

    fn room_for_tokens(&self, tokens: u64) -> Option<Instant> {
        let limit = self.config.tokens_per_minute?;
        let mut sum = self.window_tokens.saturating_add(tokens);
        let mut until = None;
        for began in &self.window {
            if sum <= limit {
                break;
            }
            sum -= began.tokens;
            until = Some(began.at + MINUTE);
        }
        until
    }

    /// Puts the estimate of this call right and hears what the provider said.
    pub(super) fn done(&mut self, now: Instant, entry: Entry, response: &LmResponse) {
        // One that began later is answered, so the provider takes calls: it meant the one it refused.
        self.paused = self.paused.filter(|pause| pause.refused > entry.number);
        let usage = &response.usage;
        let used = usage.prompt_tokens + usage.completion_tokens;
        if used > 0 {
            self.calls = (self.calls + 1.0).min(REMEMBERED);
            let each = usage.completion_tokens as f64 / f64::from(entry.n);
            self.mean += (each - self.mean) / self.calls;
            self.correct(entry, used);
        }
        if let Some(rate) = &response.rate {
            self.hear(now, entry, rate);
        }
    }

    fn correct(&mut self, entry: Entry, used: u64) {
        let index = entry.number.checked_sub(self.first).and_then(|i| usize::try_from(i).ok());
        if let Some(began) = index.and_then(|i| self.window.get_mut(i)) {
            self.window_tokens = self.window_tokens - began.tokens + used;
            began.tokens = used;
        }
    }

    fn hear(&mut self, now: Instant, entry: Entry, rate: &RateStatus) {
        let RateStatus {
            limit_requests,
            remaining_requests,
            reset_requests,
            limit_tokens,
            remaining_tokens,
            reset_tokens,
        } = *rate;
        let Sum { requests, tokens } = entry.sum;
        self.requests.hear(now, requests, limit_requests, remaining_requests, reset_requests);
        self.tokens.hear(now, tokens, limit_tokens, remaining_tokens, reset_tokens);
    }

    /// This call was refused: nothing begins before that time, unless a later one is answered.
    pub(super) fn pause(&mut self, until: Instant, entry: Entry) {
        let (before, refused) = self.paused.map_or((until, 0), |p| (p.until, p.refused));
        let (until, refused) = (until.max(before), refused.max(entry.number));
        self.paused = Some(Pause { until, refused });
    }
}
