//! Pipeline files: programs without Rust.
