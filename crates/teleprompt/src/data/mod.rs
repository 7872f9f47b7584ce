//! Data: reading, splitting.
