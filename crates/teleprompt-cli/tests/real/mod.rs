//! The default model for tests.

use std::path::PathBuf;
use std::process::Command;

use crate::common::{Done, World};

/// A world whose LM is the embedded default model.
pub struct Real {
    pub world: World,
    pub model: PathBuf,
}

impl Real {
    pub fn new() -> Option<Self> {
        Self::with(World::learner())
    }

    pub fn with(world: World) -> Option<Self> {
        let model = model()?;
        Some(Self { world, model })
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.world.command(args);
        command.env_remove("TELEPROMPT_LM");
        command.env("TELEPROMPT_MODELS_DIR", self.model.parent().unwrap());
        command
    }

    pub fn run(&self, args: &[&str]) -> Done {
        self.command(args).stdin(std::process::Stdio::null()).output().unwrap().into()
    }
}

/// The default model's file, pulled if need be into the user's own store.
fn model() -> Option<PathBuf> {
    let pull = Command::new(env!("CARGO_BIN_EXE_teleprompt"))
        .args(["models", "pull", "smollm2-135m", "--quiet"])
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    if pull.status.success() {
        return Some(text(pull.stdout).into());
    }
    let required = std::env::var("TELEPROMPT_REQUIRE_MODEL").is_ok_and(|v| v == "1");
    assert!(!required, "the model is required: {}", text(pull.stderr));
    println!("skipped: the default model cannot be had: {}", text(pull.stderr));
    None
}
