//! Tests of the recipes by name.

use serde_json::json;

use super::*;

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn every_recipe_is_found_by_each_name_and_has_settings() {
    let mut seen = std::collections::HashSet::new();
    for recipe in recipes() {
        for name in [&[recipe.name], recipe.aliases].concat() {
            assert!(seen.insert(plain(name)), "{name} is there twice");
            let optimizer = by_name(&name.to_uppercase(), &Map::new()).unwrap();
            assert_eq!(optimizer.name(), recipe.name);
        }
        // What is shown as the default is taken back as the default.
        let again = recipe.with(&recipe.defaults()).unwrap();
        assert_eq!(again.settings(), Value::Object(recipe.defaults()), "{}", recipe.name);
    }
    assert!(by_name("LabelledFewShot", &Map::new()).is_ok());
}

#[test]
fn mistakes_come_with_a_guess_and_the_list() {
    let error =
        |name: &str, settings: Value| by_name(name, &object(settings)).err().unwrap().to_string();
    for slip in ["labeled_few_shots", "labelled_fewshots", "labeld"] {
        assert!(error(slip, json!({})).contains("did you mean `labeled_few_shot`?"), "{slip}");
    }
    assert!(error("xyz", json!({})).contains("there is: labeled_few_shot, "));
    let unknown = error("bootstrap", json!({"max_round": 2}));
    assert!(unknown.contains("did you mean `max_rounds`?"), "{unknown}");
    assert!(unknown.contains("max_labeled_demos"), "the list: {unknown}");
    assert!(error("labeled", json!({"n": 1})).contains("settings: k, calibration_examples"));
    assert!(error("labeled", json!({"k": "many"})).contains("k=\"many\": expected a whole number"));
}

#[test]
fn every_setting_is_explained_and_every_row_is_a_setting() {
    let mut used = std::collections::HashSet::new();
    for recipe in recipes() {
        for (name, default, about, values) in recipe.explained() {
            assert!(!about.is_empty() && !values.is_empty(), "{}.{name}", recipe.name);
            let row = settings::setting(recipe.name, &name).unwrap();
            row.form.check(&name, &default).unwrap();
            used.insert(row.name);
        }
    }
    for row in settings::SETTINGS {
        assert!(used.contains(row.name), "{} is a setting of no recipe", row.name);
    }
}

#[test]
fn values_without_a_meaning_are_refused() {
    let table = [
        ("gepa", json!({"minibatch_size": 0}), "minibatch_size=0: expected a whole number of 1"),
        ("gepa", json!({"proposals": {"count": 0}}), "proposals.count=0"),
        ("gepa", json!({"proposals": {"cuont": 1}}), "did you mean `count`?"),
        ("gepa", json!({"budget": "max_metric_calls"}), "{\"max_metric_calls\": N}"),
        ("gepa", json!({"budget": {"max_full_evals": 0}}), "budget.max_full_evals=0"),
        ("gepa", json!({"candidate_selection": {"epsilon_greedy": {"epsilon": 2}}}), "0 to 1"),
        ("copro", json!({"race": {"minibatch": {"size": 0}}}), "race.minibatch.size=0"),
        ("copro", json!({"race": {"k_fold": {"folds": 0}}}), "race.k_fold.folds=0"),
        ("copro", json!({"race": {"wilcoxon": {"alpha": 1.5}}}), "a number from 0 to 1"),
        ("copro", json!({"race": "wilcoxn"}), "expected full, minibatch (size, promote_every)"),
        ("copro", json!({"depth": null}), "expected a whole number"),
        ("ensemble", json!({"size": 1}), "a whole number of 2 or more"),
        ("ensemble", json!({"vote": "most"}), "majority (field), mean (field)"),
        ("ensemble", json!({"of": {"name": "simba", "settings": {"bsize": 0}}}), "bsize=0"),
        ("better_together", json!({"steps": []}), "at least one optimizer"),
        ("simba", json!({"bsize": 0}), "bsize=0"),
        ("simba", json!({"max_steps": 0}), "max_steps=0"),
    ];
    for (name, settings, part) in table {
        let error = by_name(name, &object(settings)).err().unwrap().to_string();
        assert!(error.contains(part), "{part} in {error}");
    }
    let none = json!({"k": 0, "calibration_examples": 0});
    assert!(by_name("labeled", &object(none)).is_ok(), "none is a number of demonstrations");
    for vote in ["majority", "mean", "median", "first"] {
        by_name("ensemble", &object(json!({ "vote": vote }))).unwrap();
    }
}

#[test]
fn a_recipe_of_recipes_teaches_where_one_of_them_does() {
    let teaches = |name: &str, settings: Value| {
        let optimizer = by_name(name, &object(settings)).unwrap();
        recipe_named(name).unwrap().teaches(&optimizer.settings())
    };
    assert!(teaches("bootstrap", json!({})) && teaches("ensemble", json!({})));
    assert!(!teaches("labeled", json!({})) && !teaches("ensemble", json!({"of": "copro"})));
    assert!(teaches("better_together", json!({"steps": ["copro", "bootstrap"]})));
    assert!(!teaches("better_together", json!({"steps": ["copro", "gepa"]})));
}
