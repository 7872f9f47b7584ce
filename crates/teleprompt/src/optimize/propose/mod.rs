//! Stage 1, candidates: where demonstrations, instructions, rules and the cuts of decisions come from.

mod bootstrap;
mod calibrate;
mod contrast;
pub mod decide;
mod grounded;
mod introspect;
mod labeled;
mod reflect;
mod rules;
mod show;
mod vary;
mod words;

pub use bootstrap::{Bootstrap, Bootstrapped};
pub use calibrate::calibrate;
pub(in crate::optimize) use contrast::outline;
pub use contrast::{compare, rewrite};
pub use grounded::{Attempt, Ground, Grounded};
pub use introspect::{Contrast, Rule, introspect};
pub use labeled::labeled_demos;
pub use reflect::{Draft, Observation, Reflect, Subject, observations};
pub use rules::induce_rules;
pub(in crate::optimize) use show::cut;
pub use vary::vary_instructions;
pub(in crate::optimize) use words::in_order;
