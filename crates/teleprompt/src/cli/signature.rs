//! `teleprompt signature`.

use serde_json::json;
use teleprompt_core::{Field, Result, Signature};

use super::app::App;
use super::args::SignatureArgs;
use super::output;

pub(super) fn signature(app: &App, args: &SignatureArgs) -> Result<()> {
    let signature: Signature = args.text.parse()?;
    if app.common.json {
        let field = |f: &Field| {
            json!({
                "name": f.name, "type": f.ty.to_string(), "description": f.description,
                "schema": f.ty.json_schema(),
            })
        };
        return output::json(&json!({
            "signature": signature.to_string(),
            "instructions": signature.instructions(),
            "inputs": signature.inputs().iter().map(field).collect::<Vec<_>>(),
            "outputs": signature.outputs().iter().map(field).collect::<Vec<_>>(),
        }));
    }
    let mut text = signature.to_string();
    let mut part = |title: &str, fields: &[Field]| {
        let width = fields.iter().map(|f| f.name.chars().count()).max().unwrap_or(0);
        for field in fields {
            text.push_str(&format!("\n  {title} {:width$}  {}", field.name, field.ty));
            if !field.description.is_empty() {
                text.push_str(&format!("  {}", field.description));
            }
        }
    };
    part("in ", signature.inputs());
    part("out", signature.outputs());
    output::print(&text)
}
