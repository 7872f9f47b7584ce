//! Stage 1, candidates: where demonstrations and instructions come from.

mod bootstrap;
mod calibrate;
mod contrast;
mod introspect;
mod labeled;
mod reflect;
mod show;
mod words;

pub use bootstrap::{Bootstrap, Bootstrapped};
pub use calibrate::calibrate;
pub(in crate::optimize) use contrast::outline;
pub use contrast::{compare, rewrite};
pub use introspect::{Contrast, Rule, introspect};
pub use labeled::labeled_demos;
pub use reflect::{Draft, Observation, Reflect, Subject, observations};
pub(in crate::optimize) use show::cut;
