//! The tolerant, schema-directed parser of replies.
