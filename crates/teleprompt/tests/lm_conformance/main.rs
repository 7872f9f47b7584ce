//! Every wire against a server that checks requests as the provider does: what is said, what is
//! heard, what goes wrong, how errors look, what is left behind. The checks give a `Result`, so that
//! `bites` can show that each of them can fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod bites;
mod body;
mod errors;
mod faults;
mod hears;
mod leaving;
mod says;
mod suite;
mod support;
