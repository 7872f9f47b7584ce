//! Recipes that read traces and feedback: what they gain, what they need, what their options do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod avatar;
mod edges;
mod gains;
mod gepa_merge;
mod gepa_options;
mod resume;
mod text;
mod world;
