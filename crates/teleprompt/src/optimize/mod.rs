//! Optimizers: a program, examples and a metric to a better program.
