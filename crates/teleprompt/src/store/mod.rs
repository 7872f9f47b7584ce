//! The model store: where model files come from.
