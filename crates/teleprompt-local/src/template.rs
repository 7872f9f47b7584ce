//! Chat templates: from messages to one text.
//!
//! The model's own Jinja template is used where it has one. Where that refuses a system message
//! (Gemma's does), the system text is put before the first user text. Where it cannot be rendered
//! at all, or the model has none but knows ChatML's marks, ChatML is used. A model with neither is
//! a base model: it gets the texts alone, divided by blank lines.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value, context};

/// A message for a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) role: &'static str,
    pub(crate) content: String,
}

/// Renders conversations for one model.
pub(crate) struct ChatTemplate {
    own: Option<Environment<'static>>,
    bos: String,
    eos: String,
    chatml: bool,
}

const NAME: &str = "chat";

impl ChatTemplate {
    /// `source` is the model's template, `bos` and `eos` the texts of its marks, `chatml` whether
    /// ChatML's marks are tokens of it.
    pub(crate) fn new(source: Option<&str>, bos: String, eos: String, chatml: bool) -> Self {
        let own = source.and_then(|source| environment(source).ok());
        Self { own, bos, eos, chatml }
    }

    /// The prompt: all turns, and the beginning of the assistant's next one.
    pub(crate) fn render(&self, turns: &[Turn]) -> String {
        let own = self.own.as_ref().and_then(|own| {
            let merged = || self.render_own(own, &merge_system(turns));
            self.render_own(own, turns).or_else(|_| merged()).ok()
        });
        match own {
            Some(text) => text,
            None if self.chatml || self.own.is_some() => chatml(turns),
            None => plain(turns),
        }
    }

    fn render_own(&self, own: &Environment<'_>, turns: &[Turn]) -> Result<String, Error> {
        let messages: Value = turns
            .iter()
            .map(|turn| context! { role => turn.role, content => turn.content.as_str() })
            .collect();
        own.get_template(NAME)?.render(context! {
            messages,
            bos_token => self.bos.as_str(),
            eos_token => self.eos.as_str(),
            add_generation_prompt => true,
            // Qwen 3 and its kin would think aloud before every answer.
            enable_thinking => false,
        })
    }
}

/// An environment with what Hugging Face's templates rely on.
fn environment(source: &str) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    environment.set_syntax(syntax);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |text: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, text))
    });
    environment.add_template_owned(NAME, source.to_owned())?;
    Ok(environment)
}

/// The turns with the system text before the first user text.
fn merge_system(turns: &[Turn]) -> Vec<Turn> {
    let (system, mut rest): (Vec<_>, Vec<_>) =
        turns.iter().cloned().partition(|turn| turn.role == "system");
    let mut texts: Vec<String> = system.into_iter().map(|turn| turn.content).collect();
    match rest.first_mut() {
        Some(first) if first.role == "user" => {
            texts.push(std::mem::take(&mut first.content));
            first.content = texts.join("\n\n");
        }
        _ => rest.insert(0, Turn { role: "user", content: texts.join("\n\n") }),
    }
    rest
}

fn chatml(turns: &[Turn]) -> String {
    let turns = turns.iter().map(|t| format!("<|im_start|>{}\n{}<|im_end|>\n", t.role, t.content));
    turns.chain(["<|im_start|>assistant\n".to_owned()]).collect()
}

fn plain(turns: &[Turn]) -> String {
    turns.iter().map(|turn| format!("{}\n\n", turn.content)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SmolLM2's template.
    const SMOLLM2: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] \
        != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained \
        by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + \
        message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}\
        {{ '<|im_start|>assistant\n' }}{% endif %}";

    /// In the manner of Gemma's: no system role, strictly alternating, methods and filters.
    const GEMMA: &str = "{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {{ raise_exception('System role not supported') }}
{%- endif -%}
{%- for message in messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception('Roles must alternate') }}
    {%- endif -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {{ '<start_of_turn>' + role + '\n' + message['content'].strip() + '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}";

    fn turn(role: &'static str, content: &str) -> Turn {
        Turn { role, content: content.to_owned() }
    }

    fn template(source: Option<&str>, chatml: bool) -> ChatTemplate {
        ChatTemplate::new(source, "<bos>".into(), "<eos>".into(), chatml)
    }

    #[test]
    fn a_system_message_replaces_the_default_one() {
        let smollm2 = template(Some(SMOLLM2), true);
        let user = turn("user", "Hi");
        assert_eq!(
            smollm2.render(std::slice::from_ref(&user)),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging \
             Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
        );
        let turns = [turn("system", "Be brief."), user, turn("assistant", "Yo"), turn("user", "?")];
        assert_eq!(smollm2.render(&turns), chatml(&turns));
    }

    #[test]
    fn a_refused_system_message_goes_to_the_first_user_turn() {
        let gemma = template(Some(GEMMA), false);
        let turns = [turn("system", "Be brief."), turn("user", " Hi ")];
        assert_eq!(
            gemma.render(&turns),
            "<bos><start_of_turn>user\nBe brief.\n\n Hi<end_of_turn>\n<start_of_turn>model\n"
        );
    }

    #[test]
    fn fallbacks() {
        let turns = [turn("system", "S"), turn("user", "U")];
        let text = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n\
                    <|im_start|>assistant\n";
        assert_eq!(template(None, true).render(&turns), text);
        assert_eq!(template(Some("{% if %}"), true).render(&turns), text);
        assert_eq!(template(Some("{{ raise_exception('no') }}"), false).render(&turns), text);
        assert_eq!(template(None, false).render(&turns), "S\n\nU\n\n");
    }
}
