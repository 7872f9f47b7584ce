use serde_json::{Value, json};
use teleprompt::Record;
use teleprompt::optimize::compose::Vote;

fn outputs(values: Value) -> Vec<Record> {
    serde_json::from_value(values).unwrap()
}

fn field(name: &str, values: Value) -> Vec<Record> {
    let values = values.as_array().unwrap().iter();
    outputs(values.map(|v| json!({ name: v })).collect())
}

#[test]
fn the_most_frequent_value_wins_and_the_earliest_of_equal_ones() {
    let table = [
        (json!(["a1", "b2", "b2"]), Some(1)),
        (json!(["b2", "a1", "a1", "b2"]), Some(0)),
        (json!(["x", "y", "z"]), Some(0)),
        (json!(["x", "y", "z", "z", "y"]), Some(1)),
        // As metrics see it: case, articles, punctuation, numbers by value.
        (json!(["Rome", "The Eiffel Tower!", "eiffel tower"]), Some(1)),
        (json!(["-5", "5", "5"]), Some(1)),
        (json!([41, 42, 42.0]), Some(1)),
        (json!([["a1"], ["b2", "c"], ["b2", "c"]]), Some(1)),
        (json!([true, false, false]), Some(1)),
        (json!([null, "x", null]), Some(0)),
        (json!([]), None),
    ];
    for (values, expected) in table {
        let all = field("answer", values.clone());
        assert_eq!(Vote::majority("answer").choose(&all), expected, "{values}");
        assert_eq!(Vote::default().choose(&all), expected, "{values}, all outputs");
    }
}

#[test]
fn without_a_field_all_outputs_but_the_reasoning_are_compared() {
    let all = outputs(json!([
        {"reasoning": "r1", "city": "Rome", "country": "Italy"},
        {"reasoning": "r2", "city": "Paris", "country": "France"},
        {"reasoning": "r3", "city": "Paris", "country": "Texas"},
        {"reasoning": "r4", "city": "Paris", "country": "France"},
        {"reasoning": "r5", "city": "Paris"},
    ]));
    assert_eq!(Vote::default().choose(&all), Some(1));
    assert_eq!(Vote::majority("reasoning").choose(&all), Some(0));
}

#[test]
fn who_lacks_the_field_has_no_vote() {
    let all = outputs(json!([{"other": 1}, {"other": 1}, {"answer": "x"}]));
    assert_eq!(Vote::majority("answer").choose(&all), Some(2));
    assert_eq!(Vote::majority("nothing").choose(&all), None);
    let error = Vote::majority("nothing").winner(&all).unwrap_err().to_string();
    assert!(error.contains("`nothing`") && error.contains("outputs: other"), "{error}");
}

/// (numbers, nearest to the mean, nearest to the median)
#[test]
fn numbers_are_averaged_and_the_nearest_prediction_is_taken_whole() {
    let table = [
        (json!([1, 2, 9]), Some(1), Some(1)),
        (json!([0, 0, 10, 30]), Some(2), Some(0)),
        (json!([0, 100, 101, 102, 103]), Some(1), Some(2)),
        (json!([3, 1]), Some(0), Some(0)),
        (json!(["1,000", "x", 3000, 2000.0]), Some(3), Some(3)),
        (json!([true, null]), None, None),
        (json!([]), None, None),
    ];
    for (values, mean, median) in table {
        let all = field("n", values.clone());
        assert_eq!(Vote::Mean { field: Some("n".into()) }.choose(&all), mean, "mean of {values}");
        assert_eq!(
            Vote::Median { field: Some("n".into()) }.choose(&all),
            median,
            "median of {values}"
        );
    }
    let error =
        Vote::Mean { field: Some("n".into()) }.winner(&field("n", json!(["x"]))).unwrap_err();
    assert!(error.to_string().contains("a number in `n`"), "{error}");
}

#[test]
fn votes_are_readable_json() {
    let table = [
        (Vote::default(), json!({"majority": {}})),
        (Vote::majority("answer"), json!({"majority": {"field": "answer"}})),
        (Vote::Mean { field: Some("n".into()) }, json!({"mean": {"field": "n"}})),
        (Vote::Median { field: Some("n".into()) }, json!({"median": {"field": "n"}})),
        (Vote::First, json!("first")),
    ];
    for (vote, expected) in table {
        assert_eq!(serde_json::to_value(&vote).unwrap(), expected);
        assert_eq!(serde_json::from_value::<Vote>(expected).unwrap(), vote);
    }
    assert!(serde_json::from_value::<Vote>(json!({"majority": {"feild": "x"}})).is_err());
}

#[test]
fn a_bare_name_has_the_defaults() {
    let read = |text: &str| serde_json::from_value::<Vote>(json!(text)).unwrap();
    assert_eq!(read("majority"), Vote::default());
    assert_eq!(read("median"), Vote::Median { field: None });
    // The number is found by itself, the same output for all.
    let all = outputs(json!([
        {"note": "x", "score": 9, "other": 1}, {"note": "y", "score": 2}, {"note": "3", "score": 1},
    ]));
    assert_eq!(read("mean").choose(&all), Some(1));
    let error = read("mean").winner(&outputs(json!([{"note": "x"}]))).unwrap_err().to_string();
    assert!(error.contains("needs a number, which"), "{error}");
}
