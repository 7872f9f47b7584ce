//! Recipes by name: for the command, and for recipes that run other recipes.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use teleprompt_core::names::{closest, suggestion};
use teleprompt_core::{Error, Result};

use super::{
    Auto, Avatar, BetterTogether, BootstrapFewShot, BootstrapFewShotWithRandomSearch,
    BootstrapFewShotWithTpe, CalibrateDecisions, Copro, Ensemble, Gepa, InferRules, KnnFewShot,
    LabeledFewShot, MiproV2, Simba,
};
use crate::optimize::{Optimizer, OptimizerHandle};

/// All recipes, one a line, simple ones first.
const RECIPES: &[Recipe] = &[
    recipe::<LabeledFewShot>(
        "labeled_few_shot",
        &["labelled_few_shot", "labeled"],
        "labelled examples as demonstrations; no search",
    ),
    recipe::<BootstrapFewShot>(
        "bootstrap_few_shot",
        &["bootstrap"],
        "demonstrations from accepted runs of a teacher, for every step",
    ),
    recipe::<BootstrapFewShotWithRandomSearch>(
        "bootstrap_few_shot_with_random_search",
        &["bootstrap_rs", "random_search"],
        "several bootstraps, the best on validation examples",
    ),
    recipe::<BootstrapFewShotWithTpe>(
        "bootstrap_few_shot_with_tpe",
        &["bootstrap_tpe", "bootstrap_few_shot_with_optuna"],
        "sets of demonstrations for each predictor, searched by TPE",
    ),
    recipe::<KnnFewShot>(
        "knn_few_shot",
        &["knn"],
        "the demonstrations nearest to each call; no search",
    ),
    recipe::<Copro>("copro", &[], "instructions, one predictor after another"),
    recipe::<MiproV2>(
        "mipro_v2",
        &["mipro"],
        "instructions grounded in data and program, and demonstrations, searched by TPE",
    ),
    recipe::<InferRules>(
        "infer_rules",
        &[],
        "rules induced from examples, on top of demonstrations",
    ),
    recipe::<Simba>("simba", &[], "demonstrations and rules from the runs that differ most"),
    recipe::<Gepa>("gepa", &[], "instructions from feedback on traces, evolved on a Pareto front"),
    recipe::<Avatar>(
        "avatar",
        &["avatar_optimizer"],
        "instructions from the contrast of good and bad runs",
    ),
    recipe::<CalibrateDecisions>(
        "calibrate_decisions",
        &["reanchor", "decisions"],
        "thresholds, weights and cuts of decisions, fitted without another LM call",
    ),
    recipe::<Ensemble>("ensemble", &[], "the best candidates of another recipe vote"),
    recipe::<Auto>("auto", &[], "decides what to try, in which order, within a budget"),
    recipe::<BetterTogether>("better_together", &[], "recipes one after another"),
];

/// A recipe under its name.
#[derive(Clone, Copy)]
pub struct Recipe {
    /// Its name on the command line.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// What it does, in a line.
    pub about: &'static str,
    make: fn(&Map<String, Value>) -> Result<OptimizerHandle>,
}

const fn recipe<O: Optimizer + Default + DeserializeOwned + 'static>(
    name: &'static str,
    aliases: &'static [&'static str],
    about: &'static str,
) -> Recipe {
    Recipe { name, aliases, about, make: make::<O> }
}

impl Recipe {
    /// The recipe with these settings; those that are not given have their defaults.
    ///
    /// # Errors
    /// [`Error::Config`]: there is no such setting, with a guess and the list of settings; a value
    /// does not fit.
    pub fn with(&self, settings: &Map<String, Value>) -> Result<OptimizerHandle> {
        (self.make)(settings)
    }

    /// The settings with their defaults.
    pub fn defaults(&self) -> Map<String, Value> {
        match self.with(&Map::new()).map(|optimizer| optimizer.settings()) {
            Ok(Value::Object(settings)) => settings,
            _ => Map::new(),
        }
    }

    fn is_called(&self, plain_name: &str) -> bool {
        plain(self.name) == plain_name || self.aliases.iter().any(|a| plain(a) == plain_name)
    }
}

/// All recipes, simple ones first.
pub fn recipes() -> &'static [Recipe] {
    RECIPES
}

/// The names of all recipes, each with a line on what it does.
pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    RECIPES.iter().map(|recipe| (recipe.name, recipe.about))
}

/// The recipe of this name, in any case, with or without `_`, or of one of its other names.
///
/// # Errors
/// [`Error::Config`]: there is none, with a guess.
pub fn recipe_named(name: &str) -> Result<&'static Recipe> {
    let wanted = plain(name);
    RECIPES.iter().find(|recipe| recipe.is_called(&wanted)).ok_or_else(|| {
        let all =
            RECIPES.iter().flat_map(|r| [r.name].into_iter().chain(r.aliases.iter().copied()));
        let near = closest(name, all).map(plain);
        let meant = near.and_then(|near| RECIPES.iter().find(|recipe| recipe.is_called(&near)));
        let hint = match meant {
            Some(recipe) => format!("; did you mean `{}`?", recipe.name),
            None => suggestion(name, RECIPES.iter().map(|recipe| recipe.name)),
        };
        Error::Config(format!("there is no optimizer `{name}`{hint}"))
    })
}

/// An optimizer by name, with settings.
///
/// ```
/// use teleprompt::optimize::{Optimizer, teleprompter};
///
/// let settings = serde_json::json!({"k": 8});
/// let optimizer = teleprompter::by_name("labeled_few_shot", settings.as_object().unwrap()).unwrap();
/// assert_eq!(optimizer.settings()["k"], 8);
/// ```
///
/// # Errors
/// [`Error::Config`]: there is no such optimizer or setting, with a guess; a value does not fit.
pub fn by_name(name: &str, settings: &Map<String, Value>) -> Result<OptimizerHandle> {
    recipe_named(name)?.with(settings)
}

fn plain(name: &str) -> String {
    name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect()
}

fn make<O: Optimizer + Default + DeserializeOwned + 'static>(
    settings: &Map<String, Value>,
) -> Result<OptimizerHandle> {
    let default = O::default();
    let name = default.name();
    let known = match default.settings() {
        Value::Object(known) => known,
        _ => Map::new(),
    };
    let keys = || known.keys().map(String::as_str);
    let list = || match known.is_empty() {
        true => "it has no settings".to_owned(),
        false => format!("settings: {}", keys().collect::<Vec<_>>().join(", ")),
    };
    if let Some(key) = settings.keys().find(|key| !known.contains_key(*key)) {
        let guess = closest(key, keys()).map(|k| format!("; did you mean `{k}`?"));
        let guess = guess.unwrap_or_default();
        let list = list();
        return Err(Error::Config(format!(
            "{name} has no such setting as `{key}`{guess} ({list})"
        )));
    }
    let optimizer: O = serde_json::from_value(Value::Object(settings.clone()))
        .map_err(|e| Error::Config(format!("{name}: {e} ({})", list())))?;
    Ok(OptimizerHandle::new(optimizer))
}

#[cfg(test)]
mod tests {
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
        let error = |name: &str, settings: Value| {
            by_name(name, &object(settings)).err().unwrap().to_string()
        };
        for slip in ["labeled_few_shots", "labelled_fewshots", "labeld"] {
            assert!(error(slip, json!({})).contains("did you mean `labeled_few_shot`?"), "{slip}");
        }
        assert!(error("xyz", json!({})).contains("there is: labeled_few_shot, "));
        let unknown = error("bootstrap", json!({"max_round": 2}));
        assert!(unknown.contains("did you mean `max_rounds`?"), "{unknown}");
        assert!(unknown.contains("max_labeled_demos"), "the list: {unknown}");
        assert!(error("labeled", json!({"n": 1})).contains("settings: k, calibration_examples"));
        assert!(error("labeled", json!({"k": "many"})).contains("invalid type"));
    }
}
