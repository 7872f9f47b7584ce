//! A conversation as Anthropic and Gemini take it: instructions apart, and blocks under two
//! speakers in turn.

use serde_json::{Value, json};

/// What is said, put together message by message. Turns of one speaker that follow each other
/// become one.
#[derive(Debug, Default)]
pub(super) struct Turns {
    system: Vec<Value>,
    turns: Vec<(&'static str, Vec<Value>)>,
    /// Whether the last block went to the instructions.
    in_system: bool,
}

impl Turns {
    /// One more block of instructions.
    pub(super) fn instruct(&mut self, block: Value) {
        self.system.push(block);
        self.in_system = true;
    }

    /// One more block of this speaker.
    pub(super) fn say(&mut self, role: &'static str, block: Value) {
        self.in_system = false;
        match self.turns.last_mut() {
            Some((last, blocks)) if *last == role => blocks.push(block),
            _ => self.turns.push((role, vec![block])),
        }
    }

    /// The block that came last.
    pub(super) fn last_mut(&mut self) -> Option<&mut Value> {
        if self.in_system {
            return self.system.last_mut();
        }
        self.turns.last_mut().and_then(|(_, blocks)| blocks.last_mut())
    }

    /// The instructions, and the turns with their blocks under this name.
    pub(super) fn into_parts(self, blocks_name: &str) -> (Vec<Value>, Vec<Value>) {
        let turn = |(role, blocks): (&str, Vec<Value>)| json!({"role": role, blocks_name: blocks});
        (self.system, self.turns.into_iter().map(turn).collect())
    }
}
