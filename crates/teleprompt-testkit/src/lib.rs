//! For tests: a scripted LM, a fake LM server, and the conformance suites of every contract.

pub mod adapter_suite;
