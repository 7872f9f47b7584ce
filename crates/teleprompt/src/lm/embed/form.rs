//! The two protocols for embeddings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use teleprompt_core::{Embeddings, Usage};

use super::EmbedConfig;

/// How texts are said and vectors are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    OpenAi,
    Gemini,
}

impl Form {
    /// The form of embeddings that goes with this wire.
    pub(super) fn of(wire: &str) -> Option<Self> {
        match wire {
            "openai-chat" | "openai-responses" => Some(Form::OpenAi),
            "gemini" => Some(Form::Gemini),
            _ => None,
        }
    }

    /// Most texts that a request may have: 2,048 are OpenAI's limit, 100 Gemini's.
    pub(super) fn most_texts(self) -> usize {
        match self {
            Form::OpenAi => 2048,
            Form::Gemini => 100,
        }
    }

    pub(super) fn path(self, model: &str) -> String {
        match self {
            Form::OpenAi => "/embeddings".to_owned(),
            Form::Gemini => format!("/{}:batchEmbedContents", gemini_name(model)),
        }
    }

    pub(super) fn body(self, model: &str, texts: &[String], config: &EmbedConfig) -> Value {
        match self {
            Form::OpenAi => {
                let mut body = Map::new();
                body.insert("model".into(), model.into());
                body.insert("input".into(), texts.into());
                if let Some(dimensions) = config.dimensions {
                    body.insert("dimensions".into(), dimensions.into());
                }
                if config.base64 {
                    body.insert("encoding_format".into(), "base64".into());
                }
                body.extend(config.extra_body.clone());
                body.into()
            }
            Form::Gemini => {
                let request = |text: &String| {
                    let mut request = Map::new();
                    request.insert("model".into(), gemini_name(model).into());
                    request.insert("content".into(), json!({"parts": [{"text": text}]}));
                    if let Some(dimensions) = config.dimensions {
                        request.insert("outputDimensionality".into(), dimensions.into());
                    }
                    request.extend(config.extra_body.clone());
                    Value::Object(request)
                };
                json!({"requests": texts.iter().map(request).collect::<Vec<_>>()})
            }
        }
    }

    /// The vectors in the order of the texts; `Err` says in words what is wrong with the reply.
    pub(super) fn read(self, reply: &Value) -> Result<Embeddings, String> {
        let tokens = |value: &Value| value.as_u64().unwrap_or_default();
        match self {
            Form::OpenAi => {
                let items = reply.get("data").and_then(Value::as_array);
                let items = items.ok_or("the reply has no list under `data`")?;
                let prompt_tokens = reply.pointer("/usage/prompt_tokens").map_or(0, tokens);
                let usage = Usage { prompt_tokens, ..Usage::one_call() };
                Ok(Embeddings::new(in_order(items)?, usage))
            }
            Form::Gemini => {
                let items = reply.get("embeddings").and_then(Value::as_array);
                let items = items.ok_or("the reply has no list under `embeddings`")?;
                let vectors = items.iter().map(|item| vector(item.get("values")));
                let told = reply.pointer("/usageMetadata/promptTokenCount");
                let usage = Usage { prompt_tokens: told.map_or(0, tokens), ..Usage::one_call() };
                Ok(Embeddings::new(vectors.collect::<Result<_, _>>()?, usage))
            }
        }
    }
}

fn gemini_name(model: &str) -> String {
    if model.contains('/') { model.to_owned() } else { format!("models/{model}") }
}

/// By `index`, where the server tells one.
fn in_order(items: &[Value]) -> Result<Vec<Vec<f32>>, String> {
    let mut found = Vec::with_capacity(items.len());
    for (place, item) in items.iter().enumerate() {
        let index = item.get("index").and_then(Value::as_u64).unwrap_or(place as u64);
        found.push((index, vector(item.get("embedding"))?));
    }
    found.sort_by_key(|(index, _)| *index);
    if found.iter().enumerate().any(|(place, (index, _))| *index != place as u64) {
        return Err("the reply gives two vectors for one text, or none for another".into());
    }
    Ok(found.into_iter().map(|(_, vector)| vector).collect())
}

/// Numbers, or base64 of little-endian 32-bit floats.
fn vector(value: Option<&Value>) -> Result<Vec<f32>, String> {
    match value {
        Some(Value::Array(numbers)) => {
            let numbers = numbers.iter().map(|n| n.as_f64().map(|n| n as f32));
            let numbers: Option<Vec<f32>> = numbers.collect();
            numbers.ok_or_else(|| "the reply has a vector with something that is no number".into())
        }
        Some(Value::String(text)) => {
            let bytes = STANDARD.decode(text).ok();
            let bytes = bytes.filter(|bytes| bytes.len() % 4 == 0);
            let bytes = bytes.ok_or("the reply has a vector that is no base64 of 32-bit floats")?;
            let (numbers, _) = bytes.as_chunks::<4>();
            Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
        }
        _ => Err("the reply has an item without a vector".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bodies_of_both_forms() {
        let texts = ["a".to_owned(), "b".to_owned()];
        let plain = EmbedConfig::default();
        let body = Form::OpenAi.body("m", &texts, &plain);
        assert_eq!(body, json!({"model": "m", "input": ["a", "b"]}));
        let mut config = EmbedConfig { dimensions: Some(8), base64: true, ..plain };
        config.extra_body.insert("user".into(), "u".into());
        let expected = json!({
            "model": "m", "input": ["a", "b"], "dimensions": 8, "encoding_format": "base64",
            "user": "u",
        });
        assert_eq!(Form::OpenAi.body("m", &texts, &config), expected);
        let request = |text: &str| {
            json!({
                "model": "models/m", "content": {"parts": [{"text": text}]},
                "outputDimensionality": 8, "user": "u",
            })
        };
        let expected = json!({"requests": [request("a"), request("b")]});
        assert_eq!(Form::Gemini.body("m", &texts, &config), expected);
        assert_eq!(Form::Gemini.path("m"), "/models/m:batchEmbedContents");
    }

    #[test]
    fn vectors_are_put_in_order_and_decoded() {
        let reply = json!({
            "data": [{"index": 1, "embedding": "AACAPwAAAMA="}, {"index": 0, "embedding": [0.5, 3]}],
            "usage": {"prompt_tokens": 7, "total_tokens": 7},
        });
        let found = Form::OpenAi.read(&reply).unwrap();
        assert_eq!(found.vectors, [[0.5, 3.0], [1.0, -2.0]]);
        assert_eq!((found.usage.prompt_tokens, found.usage.calls), (7, 1));
        let reply = json!({
            "embeddings": [{"values": [1.0]}, {"values": [2.0]}],
            "usageMetadata": {"promptTokenCount": 3},
        });
        let found = Form::Gemini.read(&reply).unwrap();
        assert_eq!(found.vectors, [[1.0], [2.0]]);
        assert_eq!(found.usage.prompt_tokens, 3);
    }

    #[test]
    fn replies_that_are_none_say_why() {
        let item = |index: u64, vector: Value| json!({"index": index, "embedding": vector});
        let cases = [
            (json!({}), "no list"),
            (json!({"data": [{}]}), "without a vector"),
            (json!({"data": [item(0, json!(["x"]))]}), "no number"),
            (json!({"data": [item(0, json!([null]))]}), "no number"),
            (json!({"data": [item(0, json!("?"))]}), "base64"),
            (json!({"data": [item(0, json!("AAA="))]}), "base64"),
            (json!({"data": [item(0, json!([1])), item(0, json!([2]))]}), "two vectors"),
        ];
        for (reply, said) in cases {
            let fault = Form::OpenAi.read(&reply).unwrap_err();
            assert!(fault.contains(said), "{reply}: {fault}");
        }
    }
}
