//! The ledger: what is reserved, what is spent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{Exhausted, Limits, Need, Resource};
use crate::error::{Error, Result};
use crate::lm::{LmError, Money, Usage};

/// Counts the use of all calls made under a context, and of its children's. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Mutex<Limits>,
    started: Instant,
    parent: Option<Meter>,
    book: Mutex<Book>,
    /// Told whenever a reservation ends.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Book {
    used: Usage,
    /// Of paid calls: what counts against the limits.
    spent: Amount,
    /// Held by calls in flight.
    reserved: Amount,
}

/// An amount of what is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    calls: u64,
    tokens: u64,
    cost: Money,
}

impl Amount {
    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.tokens += other.tokens;
        self.cost += other.cost;
    }

    fn remove(&mut self, other: Self) {
        self.calls -= other.calls.min(self.calls);
        self.tokens -= other.tokens.min(self.tokens);
        self.cost = self.cost.saturating_sub(other.cost);
    }
}

/// Why a reservation was not made.
enum Denied {
    /// It never will be.
    Never(Error),
    /// Calls in flight hold what may come back to this meter.
    Later(Meter, Exhausted),
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
            limits: Mutex::new(limits),
            started: Instant::now(),
            parent,
            book: Mutex::default(),
            freed: Notify::new(),
        }))
    }

    fn limits(&self) -> Limits {
        *self.0.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Other limits from now on, in place of those it has; what was used and reserved so far counts
    /// against them, and the time still runs from when the meter was made. Parents keep theirs.
    pub fn set_limits(&self, limits: Limits) {
        *self.0.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
        // Who waits may get its turn now, or never.
        self.0.freed.notify_waiters();
    }

    /// What was used so far.
    pub fn usage(&self) -> Usage {
        self.book().used
    }

    /// The time that is left, here and in all parents; `None`: no limit.
    pub fn time_left(&self) -> Option<Duration> {
        let own = self.limits().time.map(|limit| limit.saturating_sub(self.0.started.elapsed()));
        let above = self.0.parent.as_ref().and_then(Meter::time_left);
        match (own, above) {
            (Some(own), Some(above)) => Some(own.min(above)),
            (own, above) => own.or(above),
        }
    }

    /// The error for a call that is ended because the time is over.
    pub fn time_is_over(&self) -> Exhausted {
        let over = |m: &Meter| m.limits().time.is_some_and(|limit| m.0.started.elapsed() >= limit);
        match &self.0.parent {
            Some(parent) if !over(self) => parent.time_is_over(),
            _ => {
                let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                let limit = ms(self.limits().time.unwrap_or_default());
                let spent = ms(self.0.started.elapsed());
                Exhausted { what: Resource::Time, limit, spent, needed: 0 }
            }
        }
    }

    /// Takes the right to one call that uses at most this, here and in all parents. Waits while
    /// calls in flight hold what may come back.
    ///
    /// # Errors
    /// [`Error::Budget`]: a limit does not allow the call. [`Error::Config`]: a limit of tokens or
    /// money is set, and what the call can use is not known. Nothing is taken then.
    pub async fn reserve(&self, need: &Need) -> Result<Reservation> {
        loop {
            let denied = match self.attempt(need) {
                Ok(reservation) => return Ok(reservation),
                Err(Denied::Never(error)) => return Err(error),
                Err(Denied::Later(meter, _)) => meter,
            };
            let freed = denied.0.freed.notified();
            futures::pin_mut!(freed);
            // From here on no release is missed; one before it is seen by another attempt.
            freed.as_mut().enable();
            match self.attempt(need) {
                Ok(reservation) => return Ok(reservation),
                Err(Denied::Never(error)) => return Err(error),
                Err(Denied::Later(still, _)) if Arc::ptr_eq(&still.0, &denied.0) => freed.await,
                // Another meter is short now: wait for that one.
                Err(Denied::Later(..)) => {}
            }
        }
    }

    /// Like [`Meter::reserve`], without waiting.
    ///
    /// # Errors
    /// As there; also [`Error::Budget`] where calls in flight hold what is needed.
    pub fn try_reserve(&self, need: &Need) -> Result<Reservation> {
        self.attempt(need).map_err(|denied| match denied {
            Denied::Never(error) => error,
            Denied::Later(_, exhausted) => exhausted.into(),
        })
    }

    fn attempt(&self, need: &Need) -> Result<Reservation, Denied> {
        let (inner, limits) = (&*self.0, self.limits());
        if limits.time.is_some_and(|limit| inner.started.elapsed() >= limit) {
            return Err(Denied::Never(self.time_is_over().into()));
        }
        let held = amount(&limits, need).map_err(Denied::Never)?;
        {
            let mut book = self.book();
            if let Some((exhausted, for_good)) = short_of(&limits, &book, held) {
                return Err(if for_good {
                    Denied::Never(exhausted.into())
                } else {
                    Denied::Later(self.clone(), exhausted)
                });
            }
            book.reserved.add(held);
        }
        // Made before the parent is asked, so that a refusal there gives this one back.
        let mut own = Reservation { meter: self.clone(), held, parent: None };
        if let Some(parent) = &inner.parent {
            own.parent = Some(Box::new(parent.attempt(need)?));
        }
        Ok(own)
    }

    fn release(&self, held: Amount, end: &End<'_>) {
        {
            let mut book = self.book();
            book.reserved.remove(held);
            if let End::Answered(used) = end {
                book.used += **used;
                if used.cache_hits == 0 {
                    book.spent.add(paid(used, held));
                }
            }
            let lost = end.lost();
            if !matches!(end, End::Answered(_)) {
                book.used.lost_attempts += lost;
            }
            (0..lost).for_each(|_| book.spent.add(held));
        }
        self.0.freed.notify_waiters();
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the call takes from each limit that is set.
fn amount(limits: &Limits, need: &Need) -> Result<Amount> {
    let mut amount = Amount { calls: 1, ..Amount::default() };
    if limits.tokens.is_some() {
        amount.tokens = need.tokens().ok_or_else(|| unbounded("tokens", need))?;
    }
    if limits.cost.is_some() {
        amount.cost = need.cost().ok_or_else(|| unbounded("money", need))?;
    }
    Ok(amount)
}

/// The first limit that this amount would break, and whether it would even after all calls in
/// flight gave back what they hold.
fn short_of(limits: &Limits, book: &Book, held: Amount) -> Option<(Exhausted, bool)> {
    let (spent, reserved) = (book.spent, book.reserved);
    let money = Money::as_picodollars;
    let table = [
        (Resource::Calls, limits.calls, spent.calls, reserved.calls, held.calls),
        (Resource::Tokens, limits.tokens, spent.tokens, reserved.tokens, held.tokens),
        (
            Resource::Money,
            limits.cost.map(money),
            money(spent.cost),
            money(reserved.cost),
            money(held.cost),
        ),
    ];
    let short = table.into_iter().filter_map(|(what, limit, spent, reserved, needed)| {
        let limit = limit?;
        let for_good = spent.saturating_add(needed) > limit;
        let now = spent.saturating_add(reserved).saturating_add(needed) > limit;
        (for_good || now).then_some((Exhausted { what, limit, spent, needed }, for_good))
    });
    // One that is broken for good comes first: waiting for another would be in vain.
    short.max_by_key(|(_, for_good)| *for_good)
}

fn unbounded(what: &str, need: &Need) -> Error {
    let missing = if need.completion_tokens.is_none() {
        "set max_tokens (--max-tokens), since the LM tells no limit of its own"
    } else if need.prompt_tokens.is_none() {
        "images, sound and files have no known bound, so leave the limit out"
    } else {
        "give the LM's price in the configuration ([price.\"NAME\"]), or limit calls or tokens"
    };
    Error::Config(format!("a limit of {what} needs a bound of what each call can use: {missing}"))
}

/// What a call that was answered counts against the limits: what it used. Where the provider told no
/// usage or has no price, it is the bound that was held.
fn paid(used: &Usage, held: Amount) -> Amount {
    let told = used.prompt_tokens + used.completion_tokens;
    Amount {
        calls: used.calls,
        tokens: if told == 0 { held.tokens } else { told },
        cost: if used.priced_calls == 0 { held.cost } else { used.cost },
    }
}

/// How a call ended.
enum End<'u> {
    /// With an answer.
    Answered(&'u Usage),
    /// Without one; so many attempts may have been charged.
    Unanswered(u64),
}

impl End<'_> {
    fn lost(&self) -> u64 {
        match self {
            End::Answered(usage) => usage.lost_attempts,
            End::Unanswered(lost) => *lost,
        }
    }
}

/// The right to one call. Dropped, it goes back: that is right for a call that was never made.
#[derive(Debug)]
pub struct Reservation {
    meter: Meter,
    held: Amount,
    parent: Option<Box<Reservation>>,
}

impl Reservation {
    /// Books what the call used. A call answered from a cache counts against no limit; each attempt
    /// that was lost on the way counts with all that was held.
    pub fn settle(mut self, usage: &Usage) {
        self.end(&End::Answered(usage));
    }

    /// Gives the right back after a failure, less the attempts that may be charged all the same
    /// ([`LmError::may_be_charged`]), each with all that was held.
    pub fn fail(mut self, error: &LmError) {
        self.end(&End::Unanswered(error.lost()));
    }

    /// Books all that was held: the call was given up while it was under way, so it may be charged.
    pub fn forfeit(mut self) {
        self.end(&End::Unanswered(1));
    }

    fn end(&mut self, end: &End<'_>) {
        self.meter.release(std::mem::take(&mut self.held), end);
        if let Some(mut parent) = self.parent.take() {
            parent.end(end);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.held != Amount::default() {
            self.meter.release(self.held, &End::Unanswered(0));
        }
    }
}
