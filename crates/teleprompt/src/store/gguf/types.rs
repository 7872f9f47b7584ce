//! The type codes of GGUF values and ggml tensors.

/// The type of a metadata value, as far as its size goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    /// So many bytes.
    Fixed(u64),
    /// A length and as many bytes.
    Text,
    /// A type, a count and as many values.
    Array,
}

impl ValueType {
    pub(super) fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 | 1 | 7 => Self::Fixed(1),
            2 | 3 => Self::Fixed(2),
            4..=6 => Self::Fixed(4),
            10..=12 => Self::Fixed(8),
            8 => Self::Text,
            9 => Self::Array,
            _ => return None,
        })
    }
}

/// How many bytes `elements` weights of this ggml type take; `None` for an unknown type or a size
/// past 2^64.
pub(super) fn tensor_bytes(code: u32, elements: u64) -> Option<u64> {
    let (block, bytes) = block(code)?;
    elements.div_ceil(block).checked_mul(bytes)
}

/// Weights in a block and bytes of a block (`ggml-common.h` of llama.cpp).
fn block(code: u32) -> Option<(u64, u64)> {
    Some(match code {
        0 | 26 => (1, 4),
        1 | 25 | 30 => (1, 2),
        24 => (1, 1),
        27 | 28 => (1, 8),
        2 | 20 => (32, 18),
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        9 => (32, 36),
        10 => (256, 84),
        11 | 21 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        15 => (256, 292),
        16 | 35 => (256, 66),
        17 => (256, 74),
        18 => (256, 98),
        19 => (256, 50),
        22 => (256, 82),
        23 => (256, 136),
        29 => (256, 56),
        34 => (256, 54),
        39 => (32, 17),
        40 => (64, 36),
        41 => (128, 18),
        42 => (64, 18),
        _ => return None,
    })
}
