//! Modules: the steps that programs are made of.
//!
//! [`Predict`] calls an LM once for a signature; [`ChainOfThought`] lets it reason first. Both are
//! typed by a derived signature, or dynamic over records:
//!
//! ```
//! use teleprompt::prelude::*;
//!
//! # async fn run(cx: Context) -> Result<()> {
//! let math = Predict::of("question -> answer: int")?;
//! let prediction = math.call(&cx, record! { question: "6 × 7?" }).await?;
//! assert_eq!(prediction["answer"], 42);
//! # Ok(())
//! # }
//! ```

mod calling;
mod chain_of_thought;
mod evidence;
mod held_out;
mod identity;
mod inputs;
mod pool;
mod predict;
mod predictor;
mod ready;
mod telling;
mod tuned;

pub use chain_of_thought::ChainOfThought;
pub(crate) use held_out::is_made_of;
pub(crate) use identity::program_identity;
pub(crate) use inputs::check as check_inputs;
pub use predict::Predict;
pub use tuned::Tuned;
