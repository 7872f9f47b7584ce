//! What a compile works with.

use std::path::PathBuf;

use teleprompt_core::{Limits, MetricHandle, Module, Result, Signature};

use crate::cli::app::{App, Loaded};
use crate::cli::args::{CompileArgs, ObjectiveKind, StopArgs};
use crate::cli::progress::Bars;
use crate::cli::usage;
use crate::data::Dataset;
use crate::evaluate::metrics;
use crate::optimize::study::{OnChange, default_dir};
use crate::optimize::{Compiler, Objective, Optimizer, OptimizerHandle};

/// Score that may be given up for cost or latency where nothing else is said.
const MARGIN: f64 = 0.02;

/// What a compile works with, whatever the optimizer.
pub(in crate::cli) struct Job {
    pub loaded: Loaded,
    pub train: Dataset,
    pub val: Option<Dataset>,
    pub test: Option<Dataset>,
    pub metric: MetricHandle,
    pub limits: Limits,
    pub stops: StopArgs,
    pub objective: Objective,
    pub lm_choice: Vec<String>,
    pub study: Option<String>,
    pub studies: PathBuf,
    pub on_change: OnChange,
    pub teacher: Option<Loaded>,
    pub teacher_lm: Option<String>,
    pub prompt_lm: Option<String>,
    pub yes: bool,
}

impl Job {
    /// With defaults for all that can be left out.
    pub fn new(loaded: Loaded, train: Dataset, metric: MetricHandle) -> Self {
        Self {
            loaded,
            train,
            metric,
            val: None,
            test: None,
            limits: Limits::default(),
            stops: StopArgs::default(),
            objective: Objective::Quality,
            lm_choice: Vec::new(),
            study: None,
            studies: default_dir(),
            on_change: OnChange::Refuse,
            teacher: None,
            teacher_lm: None,
            prompt_lm: None,
            yes: false,
        }
    }

    pub fn of(app: &App, args: &CompileArgs) -> Result<Self> {
        let loaded = app.program(&args.program)?;
        let interface = loaded.program.interface();
        let mapping = mapping(&args.map)?;
        let load = |path: &String| data(path, interface.as_ref(), &mapping);
        let train = load(&args.train)?;
        let metric = metric_for(&args.metric, interface.as_ref(), &train)?;
        Ok(Self {
            val: args.val.as_ref().map(load).transpose()?,
            test: args.test.as_ref().map(load).transpose()?,
            limits: args.limits.limits(),
            stops: args.stops.clone(),
            objective: objective(args)?,
            lm_choice: args.lm_choice.clone(),
            study: args.study.clone(),
            on_change: if args.fork { OnChange::Fork } else { OnChange::Refuse },
            teacher: args.teacher.as_ref().map(|t| app.program(t)).transpose()?,
            teacher_lm: args.teacher_lm.clone(),
            prompt_lm: args.prompt_lm.clone(),
            yes: args.yes,
            ..Self::new(loaded, train, metric)
        })
    }

    /// The compiler of this job; `lm` is the name of the program's LM.
    pub fn compiler(
        &self,
        app: &App,
        optimizer: OptimizerHandle,
        lm: &str,
    ) -> Compiler<OptimizerHandle> {
        let mut compiler = optimizer
            .compiler(self.metric.clone())
            .limits(self.limits)
            .objective(self.objective)
            .lms(self.lm_choice.iter().map(String::as_str))
            .studies_in(&self.studies)
            .on_change(self.on_change)
            .seed(app.seed())
            .concurrency(app.concurrency(lm))
            .progress(Bars::new(app.common.quiet));
        if let Some(val) = &self.val {
            compiler = compiler.val(val);
        }
        if let Some(test) = &self.test {
            compiler = compiler.test(test);
        }
        if let Some(name) = &self.study {
            compiler = compiler.study(name);
        }
        if let Some(score) = self.stops.stop_at_score {
            compiler = compiler.stop_at_score(score);
        }
        if let Some(n) = self.stops.stop_without_improvement {
            compiler = compiler.stop_without_improvement(n as usize);
        }
        if let Some(file) = &self.stops.stop_file {
            compiler = compiler.stop_file(file);
        }
        compiler
    }
}

fn objective(args: &CompileArgs) -> Result<Objective> {
    let margin = args.margin.unwrap_or(MARGIN);
    match args.objective {
        ObjectiveKind::Quality if args.margin.is_some() => Err(usage(
            "--margin is what quality may be given up for: use it with --objective cost or latency",
        )),
        ObjectiveKind::Quality => Ok(Objective::Quality),
        ObjectiveKind::Cost => Ok(Objective::Cost { margin }),
        ObjectiveKind::Latency => Ok(Objective::Latency { margin }),
    }
}

pub(in crate::cli) fn mapping(pairs: &[String]) -> Result<Vec<(String, String)>> {
    let pair = |pair: &String| match pair.split_once('=') {
        Some((input, column)) => Ok((input.trim().to_owned(), column.trim().to_owned())),
        None => Err(usage(format!("--map {pair}: write input=column"))),
    };
    pairs.iter().map(pair).collect()
}

/// Data for a program: inputs are the columns named like its inputs; without an interface all
/// columns are inputs.
pub(in crate::cli) fn data(
    path: &str,
    interface: Option<&Signature>,
    mapping: &[(String, String)],
) -> Result<Dataset> {
    let data = Dataset::load(path)?;
    match interface {
        Some(signature) => data.for_signature(signature, mapping),
        None => {
            let data = data.map_columns(mapping)?;
            let columns = data.columns();
            data.inputs(columns)
        }
    }
}

/// The metric of this name, checked against the program and the data.
pub(in crate::cli) fn metric_for(
    spec: &str,
    interface: Option<&Signature>,
    data: &Dataset,
) -> Result<MetricHandle> {
    match interface {
        Some(signature) => metrics::by_name_on(spec, signature, data),
        None => metrics::by_name(spec),
    }
}
