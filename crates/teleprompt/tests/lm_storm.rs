//! The short form of the storm; the long one is in `long.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod storm;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_comes_to_what_it_must() {
    storm::run(1500, 256).await;
}
