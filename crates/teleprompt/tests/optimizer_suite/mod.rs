//! The conformance suite of [`Optimizer`](teleprompt::optimize::Optimizer): toy tasks with a known
//! best answer, checks that every recipe has to pass, and recipes that are wrong on purpose.
//!
//! A recipe is added by a line in [`cases`].
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod cases;
pub mod checks;
pub mod kill;
pub mod lm;
pub mod odds;
pub mod pairs;
pub mod run;
pub mod toy;
pub mod toys;
pub mod wrong;
