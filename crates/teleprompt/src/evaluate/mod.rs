//! Evaluation: metrics, scores with intervals, paired comparison.
