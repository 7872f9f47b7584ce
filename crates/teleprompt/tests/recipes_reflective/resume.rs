//! A compile that died goes on, decides the same and repeats no call that was journaled.

use teleprompt::optimize::Optimizer;
use teleprompt::prelude::*;

use crate::gains::recipes;
use crate::world::{Says, World, Writer, compiler, data, metric, program};

#[tokio::test]
async fn a_resumed_compile_decides_the_same_and_pays_nothing_twice() {
    for recipe in recipes() {
        let name = recipe.name();
        let whole_dir = tempfile::tempdir().unwrap();
        let world = World::new(Writer::Collects);
        let compile = async |world: &World, dir: &tempfile::TempDir| {
            let compiler = compiler(recipe.clone(), metric(Says::Truth), dir);
            compiler.compile(&world.context(), &program(), &data("train", 24)).await
        };
        let whole = compile(&world, &whole_dir).await.unwrap();
        let all = world.calls();
        for part in 0..8 {
            let dies_at = 20 + part * (all - 20) / 8;
            let dir = tempfile::tempdir().unwrap();
            let mut dying = World::new(Writer::Collects);
            dying.dies_at = dies_at;
            let failed = compile(&dying, &dir).await;
            assert!(matches!(failed.err(), Some(Error::Lm(_))), "{name} at {dies_at}");
            let again = World::new(Writer::Collects);
            let done = compile(&again, &dir).await.unwrap();
            assert_eq!(done.report.winner, whole.report.winner, "{name} at {dies_at}");
            assert_eq!(done.program.state(), whole.program.state(), "{name} at {dies_at}");
            let decided = |report: &teleprompt::optimize::Report| {
                let facts = report.candidates.iter();
                let mut all: Vec<_> =
                    facts.map(|c| (c.candidate.clone(), c.accepted, c.why.clone())).collect();
                all.sort();
                all
            };
            assert_eq!(decided(&done.report), decided(&whole.report), "{name} at {dies_at}");
            // Answered, but not journaled, were at most those in flight when it died.
            let answered = dies_at - 1 + again.calls();
            assert!(answered >= all && answered <= all + 2, "{name}: {answered} of {all}");
            assert_eq!(done.report.usage.calls, all, "{name} at {dies_at}");
        }
    }
}
