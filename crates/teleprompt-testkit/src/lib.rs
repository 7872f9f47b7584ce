//! For tests of Teleprompt and its extensions: scripted LM, fake LM server, conformance suites.

pub mod adapter_suite;
pub mod lm_suite;
pub mod scripted;
pub mod server;

pub use scripted::{Reply, ScriptedLm};
pub use server::{Answer, Expected, FakeServer, Fault, Part, Request, Response, Wire};
