//! All settings of all recipes: what they are, and what values they take.

use super::form::{Form, Row, row};

use Form::{Choice, Flag, Group, Map, Number, Recipe, Recipes, Text, Texts, Whole};

const ANY: Form = Number(f64::NEG_INFINITY, f64::INFINITY);
const AT_LEAST_0: Form = Number(0.0, f64::INFINITY);
const PART: Form = Number(0.0, 1.0);

const RACE: Form = Choice(&[
    ("full", None),
    (
        "minibatch",
        Some(Group(&[
            row("size", "examples of the minibatch", Whole(1)),
            row("promote_every", "entrants after which one is promoted", Whole(1)),
        ])),
    ),
    ("k_fold", Some(Group(&[row("folds", "parts of the examples", Whole(2))]))),
    (
        "halving",
        Some(Group(&[
            row("start", "examples of the first round", Whole(1)),
            row("factor", "how many times more examples a round has", Whole(2)),
            row("entrants", "candidates of a bracket", Whole(2)),
        ])),
    ),
    (
        "wilcoxon",
        Some(Group(&[
            row("start", "examples before the first test", Whole(1)),
            row("step", "examples between tests", Whole(1)),
            row("alpha", "dropped at a p-value below", PART),
        ])),
    ),
]);

const FIELD: Form = Group(&[row("field", "the output that is voted on", Text)]);

/// The row of a setting. Where recipes mean different things by one name, it is `RECIPE.SETTING`.
pub(in crate::optimize) fn setting(recipe: &str, name: &str) -> Option<&'static Row> {
    let own = format!("{recipe}.{name}");
    let named = |wanted: &str| SETTINGS.iter().find(|row| row.name == wanted);
    named(&own).or_else(|| named(name))
}

pub(super) const SETTINGS: &[Row] = &[
    row("k", "demonstrations at a call", Whole(0)),
    row(
        "calibration_examples",
        "train inputs over which the LM's liking for single labels is measured; 0: none",
        Whole(0),
    ),
    row("max_bootstrapped_demos", "most accepted runs a predictor is shown", Whole(0)),
    row("max_labeled_demos", "most demonstrations a predictor has in all", Whole(0)),
    row("max_rounds", "attempts of the teacher at an example", Whole(1)),
    row("metric_threshold", "score at which a run is accepted; none: any above 0", ANY),
    row("num_candidate_programs", "candidates tried, besides the fixed ones", Whole(0)),
    row("stop_at_score", "mean validation score that ends the search", ANY),
    row("race", "how many examples a candidate is run on before it is dropped", RACE),
    row("num_demo_sets", "sets of demonstrations a predictor can choose from", Whole(1)),
    row(
        "tpe",
        "the search by TPE",
        Group(&[
            row("start", "points before the model is asked", Whole(1)),
            row("gamma", "part of the points that count as good", PART),
            row("max_good", "most points that count as good", Whole(1)),
            row("candidates", "points drawn, of which the best is taken", Whole(1)),
            row("spread", "part of the probability spread evenly", PART),
            row("independent", "how much dimensions are taken as independent", PART),
            row("shrinkage", "examples at the mean added to each point", AT_LEAST_0),
        ]),
    ),
    row("by", "what likeness is", Choice(&[("lexical", None), ("embedder", Some(Text))])),
    row("teacher_demos", "labelled demonstrations of the teacher, if no other is given", Whole(0)),
    row("breadth", "instructions of a round", Whole(0)),
    row("depth", "rounds", Whole(0)),
    row("init_temperature", "temperature at which instructions are sampled", AT_LEAST_0),
    row(
        "auto",
        "sizes of all that is not set",
        Choice(&[("light", None), ("medium", None), ("heavy", None)]),
    ),
    row("num_instructions", "instructions a predictor can choose from", Whole(1)),
    row("num_trials", "combinations tried", Whole(1)),
    row("val_size", "most validation examples used", Whole(1)),
    row(
        "proposer",
        "what instructions are grounded in",
        Group(&[
            row("data", "look at train examples first", Flag),
            row("batch", "examples of one look", Whole(1)),
            row("looks", "most looks", Whole(0)),
            row("program", "show the program's structure", Flag),
            row("demos", "show demonstrations", Flag),
            row("tips", "give advice on wording", Flag),
            row("temperature", "sampling temperature", AT_LEAST_0),
        ]),
    ),
    row("num_candidates", "candidates", Whole(1)),
    row("simba.num_candidates", "runs of each example, and candidates a step", Whole(1)),
    row("num_rules", "most rules of a predictor", Whole(1)),
    row("num_examples", "examples that rules are induced from", Whole(1)),
    row("temperature", "sampling temperature of what is written", AT_LEAST_0),
    row("bsize", "train examples of a mini-batch", Whole(1)),
    row("max_steps", "mini-batches", Whole(1)),
    row("max_demos", "about as many demonstrations a predictor; 0: rules alone", Whole(0)),
    row("demo_input_field_maxlen", "characters of an input that a demo shows", Whole(1)),
    row("temperature_for_sampling", "how evenly those that run are drawn; 0: the best", AT_LEAST_0),
    row("temperature_for_candidates", "the same for those that are changed", AT_LEAST_0),
    row(
        "gepa.budget",
        "how much the search may take",
        Choice(&[
            ("light", None),
            ("medium", None),
            ("heavy", None),
            ("max_full_evals", Some(Whole(1))),
            ("max_metric_calls", Some(Whole(1))),
        ]),
    ),
    row(
        "candidate_selection",
        "how the next parent is chosen",
        Choice(&[
            ("pareto", None),
            ("current_best", None),
            ("epsilon_greedy", Some(Group(&[row("epsilon", "chance of any parent", PART)]))),
            ("top_k_pareto", Some(Group(&[row("k", "how many of the best", Whole(1))]))),
        ]),
    ),
    row(
        "component_selection",
        "which predictors a proposal rewrites",
        Choice(&[("round_robin", None), ("all", None)]),
    ),
    row(
        "minibatch_sampling",
        "which train examples a minibatch has",
        Choice(&[("epoch_shuffled", None), ("random", None)]),
    ),
    row("minibatch_size", "train examples of a minibatch", Whole(1)),
    row(
        "acceptance",
        "when a child is validated, by its sum on the minibatch",
        Choice(&[("improvement", None), ("improvement_or_equal", None)]),
    ),
    row(
        "proposals",
        "proposals of an iteration",
        Group(&[
            row("count", "how many", Whole(1)),
            row("parents", "their parents", Choice(&[("independent", None), ("same", None)])),
            row("keep", "those validated", Choice(&[("all", None), ("best", None)])),
        ]),
    ),
    row("skip_perfect_score", "leave a parent alone that is perfect on its minibatch", Flag),
    row("perfect_score", "the best score there is", ANY),
    row("use_merge", "merge strengths of two candidates, with several predictors", Flag),
    row("max_merge_invocations", "most merges tried", Whole(0)),
    row("merge_overlap_floor", "validation examples that a merge is tried on first", Whole(0)),
    row(
        "frontier",
        "what candidates compete for",
        Choice(&[("instance", None), ("objective", None), ("hybrid", None), ("cartesian", None)]),
    ),
    row("objectives", "quality, tokens, latency, or the metric's own", Texts),
    row("validation", "how many validation examples a candidate is run on", RACE),
    row("background", "what the LM that rewrites should know besides", Text),
    row("max_instruction_chars", "most characters of instructions; none: no limit", Whole(1)),
    row("max_iters", "rewrites", Whole(1)),
    row("lower_bound", "a run with this score or below is bad", ANY),
    row("upper_bound", "a run with this score or above is good", ANY),
    row("max_positive_inputs", "good runs shown", Whole(1)),
    row("max_negative_inputs", "bad runs shown", Whole(1)),
    row("predictor", "path of the predictor to rewrite; none: all", Text),
    row("stated", "by output, the output in which the model states its probability", Map),
    row("of", "the optimizer that makes candidates", Recipe),
    row("size", "members", Whole(2)),
    row(
        "vote",
        "how they vote",
        Choice(&[
            ("majority", Some(FIELD)),
            ("mean", Some(FIELD)),
            ("median", Some(FIELD)),
            ("first", None),
        ]),
    ),
    row("budget", "program runs; 0: what a limit on calls leaves, else 12 × validation", Whole(0)),
    row("instructions", "write instructions, too", Flag),
    row("reflection_minibatch_size", "train examples that a reflection looks at", Whole(1)),
    row("patience", "failures in a row of a kind of move before it is over", Whole(1)),
    row("steps", "the optimizers, in order", Recipes),
    row("shuffle", "another order of the train examples for each step", Flag),
];
