//! Higher-order composition on a scripted LM: votes, ensembles, attempts, advice, checks, solutions
//! of several members, and teachers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod best_of_n;
mod checked;
mod ensemble;
mod refine;
mod solution;
mod support;
mod teacher;
mod vote;
