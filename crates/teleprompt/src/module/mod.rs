//! Modules: predict, chain of thought.
