//! Recipes by name: for the command, and for recipes that run other recipes.

mod form;
mod settings;
#[cfg(test)]
mod tests;

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
    Recipe {
        name: "labeled_few_shot",
        aliases: &["labelled_few_shot", "labeled"],
        about: "labelled examples as demonstrations; no search",
        suits: "labels, a classifier, a small LM",
        cost: "calibration only",
        source: "Khattab et al. 2023, section 4",
        teacher: Teacher::No,
        make: make::<LabeledFewShot>,
    },
    Recipe {
        name: "bootstrap_few_shot",
        aliases: &["bootstrap"],
        about: "demonstrations from accepted runs of a teacher, for every step",
        suits: "a program of several steps with labels for the last",
        cost: "n × max_rounds",
        source: "Khattab et al. 2023, section 4 and E.1",
        teacher: Teacher::Yes,
        make: make::<BootstrapFewShot>,
    },
    Recipe {
        name: "bootstrap_few_shot_with_random_search",
        aliases: &["bootstrap_rs", "random_search"],
        about: "several bootstraps, the best on validation examples",
        suits: "labels, a classifier, a small LM, and validation runs to spare",
        cost: "(num_candidate_programs + 3) × v, and the bootstraps",
        source: "Khattab et al. 2023, E.2",
        teacher: Teacher::Yes,
        make: make::<BootstrapFewShotWithRandomSearch>,
    },
    Recipe {
        name: "bootstrap_few_shot_with_tpe",
        aliases: &["bootstrap_tpe", "bootstrap_few_shot_with_optuna"],
        about: "sets of demonstrations for each predictor, searched by TPE",
        suits: "a program of several steps, each with demonstrations of its own",
        cost: "(num_candidate_programs + 1) × v, and the bootstraps",
        source: "Khattab et al. 2023, section 4; Bergstra et al. 2011",
        teacher: Teacher::Yes,
        make: make::<BootstrapFewShotWithTpe>,
    },
    Recipe {
        name: "knn_few_shot",
        aliases: &["knn"],
        about: "the demonstrations nearest to each call; no search",
        suits: "many different examples, each question like a few of them",
        cost: "n at most",
        source: "Liu et al. 2022",
        teacher: Teacher::Yes,
        make: make::<KnnFewShot>,
    },
    Recipe {
        name: "copro",
        aliases: &[],
        about: "instructions, one predictor after another",
        suits: "an LM that writes well, and no labels to show",
        cost: "about breadth × depth × p × v, and as many questions",
        source: "Opsahl-Ong et al. 2024, Yang et al. 2023",
        teacher: Teacher::No,
        make: make::<Copro>,
    },
    Recipe {
        name: "mipro_v2",
        aliases: &["mipro"],
        about: "instructions grounded in data and program, and demonstrations, searched by TPE",
        suits: "an LM that writes well, and labels",
        cost: "trials × minibatch, and promotions",
        source: "Opsahl-Ong et al. 2024",
        teacher: Teacher::Yes,
        make: make::<MiproV2>,
    },
    Recipe {
        name: "infer_rules",
        aliases: &[],
        about: "rules induced from examples, on top of demonstrations",
        suits: "rules that an expert could state",
        cost: "num_candidates × v, and the bootstrap",
        source: "DSPy's InferRules",
        teacher: Teacher::Yes,
        make: make::<InferRules>,
    },
    Recipe {
        name: "simba",
        aliases: &[],
        about: "demonstrations and rules from the runs that differ most",
        suits: "runs of the same example that differ",
        cost: "max_steps × 2 × num_candidates × bsize, and v a finalist",
        source: "DSPy's SIMBA",
        teacher: Teacher::Yes,
        make: make::<Simba>,
    },
    Recipe {
        name: "gepa",
        aliases: &[],
        about: "instructions from feedback on traces, evolved on a Pareto front",
        suits: "a metric that says what was wrong",
        cost: "its budget",
        source: "Agrawal et al. 2025",
        teacher: Teacher::No,
        make: make::<Gepa>,
    },
    Recipe {
        name: "avatar",
        aliases: &["avatar_optimizer"],
        about: "instructions from the contrast of good and bad runs",
        suits: "an agent with good and bad runs",
        cost: "max_iters × (n + v)",
        source: "Wu et al. 2024",
        teacher: Teacher::No,
        make: make::<Avatar>,
    },
    Recipe {
        name: "calibrate_decisions",
        aliases: &["reanchor", "decisions"],
        about: "thresholds, weights and cuts of decisions, fitted without another LM call",
        suits: "a bool, a class or a grade that leans to one side, last; the LM must give log-probabilities, or an output its probability (stated)",
        cost: "n",
        source: "DSPy's ReAnchor",
        teacher: Teacher::No,
        make: make::<CalibrateDecisions>,
    },
    Recipe {
        name: "ensemble",
        aliases: &[],
        about: "the best candidates of another recipe vote",
        suits: "calls to spare when the program runs",
        cost: "those of its optimizer, and size × v",
        source: "Khattab et al. 2023, section 4",
        teacher: Teacher::Inner,
        make: make::<Ensemble>,
    },
    Recipe {
        name: "auto",
        aliases: &[],
        about: "decides what to try, in which order, within a budget",
        suits: "a budget (--max-calls), and no wish to choose",
        cost: "its budget",
        source: "ours",
        teacher: Teacher::Yes,
        make: make::<Auto>,
    },
    Recipe {
        name: "better_together",
        aliases: &[],
        about: "recipes one after another",
        suits: "one optimizer is not enough",
        cost: "their sum, and v a step",
        source: "Soylu et al. 2024",
        teacher: Teacher::Inner,
        make: make::<BetterTogether>,
    },
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
    /// What somebody has who should take it.
    pub suits: &'static str,
    /// Program runs, with `n` train examples, `v` validation examples and `p` predictors.
    pub cost: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    teacher: Teacher,
    make: fn(&Map<String, Value>) -> Result<OptimizerHandle>,
}

/// Whether accepted runs of a teacher become demonstrations.
#[derive(Clone, Copy, PartialEq)]
enum Teacher {
    Yes,
    No,
    /// Where one of the recipes does that it runs.
    Inner,
}

impl Recipe {
    /// The recipe with these settings; those that are not given have their defaults.
    ///
    /// # Errors
    /// [`Error::Config`]: there is no such setting, with a guess and the list of settings; a value
    /// does not fit, or has no meaning, such as minibatches of 0 examples.
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

    /// Whether a teacher makes a difference with these settings, as [`Optimizer::settings`] has them.
    pub fn teaches(&self, settings: &Value) -> bool {
        match self.teacher {
            Teacher::Yes => true,
            Teacher::No => false,
            Teacher::Inner => {
                let one = settings.get("of").into_iter();
                let steps = settings.get("steps").and_then(Value::as_array);
                one.chain(steps.into_iter().flatten()).any(|inner| {
                    let name = inner.get("name").and_then(Value::as_str).unwrap_or_default();
                    let settings = inner.get("settings").unwrap_or(&Value::Null);
                    recipe_named(name).is_ok_and(|recipe| recipe.teaches(settings))
                })
            }
        }
    }

    /// Each setting: its name, its default (`null`: not set), what it sets, and the values that fit.
    pub fn explained(&self) -> Vec<(String, Value, &'static str, String)> {
        let explain = |(name, default): (String, Value)| {
            let row = settings::setting(self.name, &name);
            let about = row.map_or("", |row| row.about);
            let values = row.map(|row| row.form.expected()).unwrap_or_default();
            (name, default, about, values)
        };
        self.defaults().into_iter().map(explain).collect()
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
    for (key, value) in settings {
        let unset = value.is_null() && known.get(key).is_some_and(Value::is_null);
        let row = settings::setting(name, key).filter(|_| !unset);
        let Some(form) = row.map(|row| &row.form) else { continue };
        let checked = match value.is_null() {
            true => Err(format!("{key}=null: expected {}", form.expected())),
            false => form.check(key, value),
        };
        checked.map_err(|message| Error::Config(format!("{name}: {message}")))?;
    }
    let optimizer: O = serde_json::from_value(Value::Object(settings.clone()))
        .map_err(|e| Error::Config(format!("{name}: {e} ({})", list())))?;
    Ok(OptimizerHandle::new(optimizer))
}
