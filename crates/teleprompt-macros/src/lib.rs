//! The derives of Teleprompt.
