//! Counting what calls use, and holding limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::lm::Usage;

/// Limits of a [`Meter`]; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// LM calls that are paid for: answers from a cache of ours are free.
    pub calls: Option<u64>,
    /// Tokens of prompts and completions of paid calls. A call is let through while fewer are
    /// spent, so calls in flight can go over it by their own size.
    pub tokens: Option<u64>,
    /// Time since the meter was made.
    pub time: Option<Duration>,
}

/// Counts the use of all calls made under a context, and of its children's. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    started: Instant,
    parent: Option<Meter>,
    reserved: AtomicU64,
    paid_tokens: AtomicU64,
    calls: AtomicU64,
    hits: AtomicU64,
    prompt: AtomicU64,
    completion: AtomicU64,
    cached_prompt: AtomicU64,
}

impl Default for Meter {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Meter {
    /// A meter with these limits, counting from now.
    pub fn new(limits: Limits) -> Self {
        Self::with_parent(limits, None)
    }

    /// A meter inside this one: what it counts, this one counts too, and both limits hold.
    #[must_use]
    pub fn child(&self, limits: Limits) -> Self {
        Self::with_parent(limits, Some(self.clone()))
    }

    fn with_parent(limits: Limits, parent: Option<Meter>) -> Self {
        Self(Arc::new(Inner {
            limits,
            started: Instant::now(),
            parent,
            reserved: AtomicU64::new(0),
            paid_tokens: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            prompt: AtomicU64::new(0),
            completion: AtomicU64::new(0),
            cached_prompt: AtomicU64::new(0),
        }))
    }

    /// What was used so far.
    pub fn usage(&self) -> Usage {
        let get = |a: &AtomicU64| a.load(Ordering::Relaxed);
        Usage {
            calls: get(&self.0.calls),
            cache_hits: get(&self.0.hits),
            prompt_tokens: get(&self.0.prompt),
            completion_tokens: get(&self.0.completion),
            cached_prompt_tokens: get(&self.0.cached_prompt),
        }
    }

    /// Takes the right to one call, here and in all parents.
    ///
    /// # Errors
    /// [`Error::Budget`]: a limit is reached. Nothing is taken then.
    pub fn reserve(&self) -> Result<Reservation<'_>> {
        let inner = &*self.0;
        if let Some(limit) = inner.limits.time
            && inner.started.elapsed() >= limit
        {
            let spent = inner.started.elapsed().as_secs();
            return Err(Error::Budget { what: "seconds", limit: limit.as_secs(), spent });
        }
        let spent = inner.paid_tokens.load(Ordering::Relaxed);
        if let Some(limit) = inner.limits.tokens
            && spent >= limit
        {
            return Err(Error::Budget { what: "tokens", limit, spent });
        }
        let limit = inner.limits.calls.unwrap_or(u64::MAX);
        let taken = inner
            .reserved
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < limit).then_some(n + 1));
        if let Err(spent) = taken {
            return Err(Error::Budget { what: "LM calls", limit, spent });
        }
        // Made before the parent is asked, so that a refusal there gives this one back.
        let mut own = Reservation { meter: self, parent: None, settled: false };
        if let Some(parent) = &inner.parent {
            own.parent = Some(Box::new(parent.reserve()?));
        }
        Ok(own)
    }

    fn add(&self, usage: &Usage) {
        let add = |a: &AtomicU64, n: u64| a.fetch_add(n, Ordering::Relaxed);
        let inner = &*self.0;
        add(&inner.calls, usage.calls);
        add(&inner.hits, usage.cache_hits);
        add(&inner.prompt, usage.prompt_tokens);
        add(&inner.completion, usage.completion_tokens);
        add(&inner.cached_prompt, usage.cached_prompt_tokens);
        if usage.cache_hits == 0 {
            add(&inner.paid_tokens, usage.prompt_tokens + usage.completion_tokens);
        } else {
            inner.reserved.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The right to one call. Dropped without [`Reservation::settle`], it goes back.
#[derive(Debug)]
pub struct Reservation<'m> {
    meter: &'m Meter,
    parent: Option<Box<Reservation<'m>>>,
    settled: bool,
}

impl Reservation<'_> {
    /// Books what the call used. A call answered from a cache gives its right back.
    pub fn settle(mut self, usage: &Usage) {
        self.settled = true;
        self.meter.add(usage);
        if let Some(parent) = self.parent.take() {
            parent.settle(usage);
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.meter.0.reserved.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
