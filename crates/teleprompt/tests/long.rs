//! The long tier of the LM layer: `cargo test --release --workspace --test long -- --ignored`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod storm;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "about a minute"]
async fn twenty_thousand_calls_at_512_in_flight() {
    storm::run(20_000, 512).await;
}
