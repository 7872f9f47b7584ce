//! A pipeline as text: what it does apart from its predictors, in one way only.

use std::fmt::{self, Display, Formatter};

use super::Pipeline;
use super::plan::{Block, Body, Read};

/// Its inputs, steps with their wiring and conditions, and outputs: one line each, the same for
/// files that differ in comments, order of keys or spelling of conditions only.
///
/// ```
/// use teleprompt::pipeline::Pipeline;
/// let file = r#"
/// [[step]]
/// name = "answer"
/// signature = "question -> answer"
/// repeat = { times = 2, until = 'answer!=""' }
/// "#;
/// let text = Pipeline::parse(file)?.to_string();
/// assert_eq!(text, "question ->\n  answer = predict(question)[2] until answer != \"\"\n-> answer");
/// # Ok::<(), teleprompt::Error>(())
/// ```
impl Display for Pipeline {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let inputs: Vec<&str> = self.interface.inputs().iter().map(|field| &*field.name).collect();
        writeln!(f, "{} ->", inputs.join(", "))?;
        blocks(f, &self.blocks, 1)?;
        let output = |o: &super::check::Output| named(&o.name, &o.key);
        let outputs: Vec<String> = self.outputs.iter().map(output).collect();
        write!(f, "-> {}", outputs.join(", "))
    }
}

/// A name and what it stands for, where that is something else.
fn named(name: &str, key: &str) -> String {
    if name == key { name.to_owned() } else { format!("{name}: {key}") }
}

fn blocks(f: &mut Formatter<'_>, blocks: &[Block], depth: usize) -> fmt::Result {
    blocks.iter().try_for_each(|block| self::block(f, block, depth))
}

fn block(f: &mut Formatter<'_>, block: &Block, depth: usize) -> fmt::Result {
    write!(f, "{:1$}{2} =", "", depth * 2, block.name)?;
    match &block.body {
        Body::Group(_) => write!(f, " group")?,
        Body::Step(step) => {
            let reads: Vec<String> = step.reads.iter().map(read).collect();
            write!(f, " {}({})", step.module.word(), reads.join(", "))?;
            for collect in &step.collects {
                write!(f, " {} += {}", collect.list, collect.field)?;
            }
        }
    }
    if block.times > 1 {
        write!(f, "[{}]", block.times)?;
    }
    if let Some(when) = &block.when {
        write!(f, " when {}", when.expr)?;
    }
    if let Some(until) = &block.until {
        write!(f, " until {}", until.expr)?;
    }
    writeln!(f)?;
    match &block.body {
        Body::Group(inner) => blocks(f, inner, depth + 1),
        Body::Step(_) => Ok(()),
    }
}

fn read(read: &Read) -> String {
    let sources: Vec<&str> = read.sources.iter().map(|source| &*source.key).collect();
    named(&read.field, &sources.join(" or "))
}
