//! Stage 3, higher-order composition: programs made of runs of programs.
//!
//! [`Ensemble`] lets several programs vote, [`BestOfN`] runs one several times and takes the best,
//! [`Refine`] advises it between the attempts, [`Checked`] runs it again while its outputs break a
//! rule. All are modules: they nest, stand in larger programs, are compiled and can be teachers
//! ([`match_teacher`]). [`Solution`] is what a compiler found: parameters, or an ensemble of them.
//!
//! What is inside keeps its relative path behind the wrapper's prefix: `inner` for [`BestOfN`],
//! [`Refine`] and [`Checked`], `members[0]`, `members[1]`… for an [`Ensemble`]. So the predictor
//! `query` of a program is `inner.query` in `BestOfN::new(program, …)`, and a program that is one
//! predictor is `inner`.
//!
//! They have this in common. A prediction's usage is that of all runs together, failed ones and
//! advice included. A trace gets the steps of the run that was chosen, and of no other: they are
//! what led to the outputs, and so what a demonstration may be made of. Errors that would meet
//! every run ([`Error::is_fatal`](crate::Error::is_fatal)) end the call at once.

mod best_of_n;
mod checked;
mod ensemble;
mod goal;
mod part;
mod paths;
mod refine;
mod solution;
mod trials;
mod vote;

pub use best_of_n::BestOfN;
pub use checked::Checked;
pub use ensemble::Ensemble;
pub use paths::{fit, match_teacher};
pub use refine::Refine;
pub(crate) use solution::elect;
pub use solution::{Solution, run_solution};
pub use vote::Vote;
