//! What a request's body says of tools and media, in words of no provider.

use serde_json::Value;
use teleprompt_testkit::Wire;

/// Everything under this name, at any depth, in order.
pub fn all<'v>(value: &'v Value, name: &str) -> Vec<&'v Value> {
    let mut found = Vec::new();
    match value {
        Value::Object(members) => {
            for (key, inner) in members {
                if key == name {
                    found.push(inner);
                }
                found.extend(all(inner, name));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| found.extend(all(item, name))),
        _ => {}
    }
    found
}

/// The objects of this `type`, at any depth, in order.
fn of_type<'v>(value: &'v Value, kind: &str) -> Vec<&'v Value> {
    let mut found = Vec::new();
    match value {
        Value::Object(members) => {
            if value["type"] == kind {
                found.push(value);
            }
            members.values().for_each(|inner| found.extend(of_type(inner, kind)));
        }
        Value::Array(items) => items.iter().for_each(|item| found.extend(of_type(item, kind))),
        _ => {}
    }
    found
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Id, name and arguments of the calls that are given back.
pub fn calls(wire: Wire, body: &Value) -> Vec<(String, String, Value)> {
    let parsed = |arguments: &Value| serde_json::from_str(&text(arguments)).unwrap_or_default();
    let call = |call: &Value| match wire {
        Wire::OpenAiChat => {
            let function = &call["function"];
            (text(&call["id"]), text(&function["name"]), parsed(&function["arguments"]))
        }
        Wire::OpenAiResponses => {
            (text(&call["call_id"]), text(&call["name"]), parsed(&call["arguments"]))
        }
        Wire::Anthropic => (text(&call["id"]), text(&call["name"]), call["input"].clone()),
        Wire::Gemini => (text(&call["id"]), text(&call["name"]), call["args"].clone()),
    };
    let found = match wire {
        Wire::OpenAiChat => of_type(&body["messages"], "function"),
        Wire::OpenAiResponses => of_type(&body["input"], "function_call"),
        Wire::Anthropic => of_type(&body["messages"], "tool_use"),
        Wire::Gemini => all(&body["contents"], "functionCall"),
    };
    found.into_iter().map(call).collect()
}

/// Id and answer of the tools' answers, the answer as it stands in the body.
pub fn results(wire: Wire, body: &Value) -> Vec<(String, String)> {
    let (found, id, answer) = match wire {
        Wire::OpenAiChat => {
            let messages = body["messages"].as_array().into_iter().flatten();
            (messages.filter(|m| m["role"] == "tool").collect(), "tool_call_id", "content")
        }
        Wire::OpenAiResponses => {
            (of_type(&body["input"], "function_call_output"), "call_id", "output")
        }
        Wire::Anthropic => (of_type(&body["messages"], "tool_result"), "tool_use_id", "content"),
        Wire::Gemini => (all(&body["contents"], "functionResponse"), "id", "response"),
    };
    found.into_iter().map(|result| (text(&result[id]), result[answer].to_string())).collect()
}

/// The choice of tools: `auto`, `none`, `required`, or a tool's name.
pub fn choice(wire: Wire, body: &Value) -> String {
    let said = match wire {
        Wire::Gemini => &body["toolConfig"]["functionCallingConfig"],
        _ => &body["tool_choice"],
    };
    let name = match wire {
        Wire::OpenAiChat => &said["function"]["name"],
        Wire::OpenAiResponses | Wire::Anthropic => &said["name"],
        Wire::Gemini => &said["allowedFunctionNames"][0],
    };
    let word = said.as_str().or(said["type"].as_str()).or(said["mode"].as_str());
    match (name.as_str(), word.unwrap_or_default()) {
        (Some(name), _) => name.to_owned(),
        (None, "any" | "ANY") => "required".to_owned(),
        (None, word) => word.to_lowercase(),
    }
}

/// Name, description and schema of the first tool.
pub fn tool(wire: Wire, body: &Value) -> (String, String, Value) {
    let first = &body["tools"][0];
    let (tool, schema) = match wire {
        Wire::OpenAiChat => (&first["function"], "parameters"),
        Wire::OpenAiResponses => (first, "parameters"),
        Wire::Anthropic => (first, "input_schema"),
        Wire::Gemini => (&first["functionDeclarations"][0], "parametersJsonSchema"),
    };
    (text(&tool["name"]), text(&tool["description"]), tool[schema].clone())
}
