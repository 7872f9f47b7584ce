//! Adapters: signatures to chat messages, and replies to records.
