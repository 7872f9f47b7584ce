//! The layers around an LM, on paused time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod balance;
mod budget;
mod fallback;
mod history;
mod limit;
mod own;
mod price;
mod replay;
mod stack;
mod suite;
mod support;
mod timeout;
mod trace;
