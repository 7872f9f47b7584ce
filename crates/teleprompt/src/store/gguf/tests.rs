use std::io::Cursor;

use proptest::prelude::*;

use super::*;

/// Builds small GGUF files.
#[derive(Clone, Default)]
struct Build {
    pairs: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
    data: usize,
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
}

impl Build {
    fn value(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.pairs.push([&text(key)[..], &kind.to_le_bytes(), value].concat());
        self
    }

    fn text(self, key: &str, value: &str) -> Self {
        self.value(key, 8, &text(value))
    }

    fn tensor(mut self, dims: &[u64], kind: u32, offset: u64) -> Self {
        let mut info = text("blk.0.weight");
        info.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|d| info.extend(d.to_le_bytes()));
        info.extend(kind.to_le_bytes());
        info.extend(offset.to_le_bytes());
        self.tensors.push(info);
        self
    }

    fn data(mut self, bytes: usize) -> Self {
        self.data = bytes;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.pairs.len() as u64).to_le_bytes());
        out.extend(self.pairs.concat());
        out.extend(self.tensors.concat());
        out.resize(out.len().next_multiple_of(32), 0);
        out.resize(out.len() + self.data, 0);
        out
    }
}

fn small() -> Build {
    let words = [&8u32.to_le_bytes()[..], &2u64.to_le_bytes(), &text("a"), &text("bc")].concat();
    Build::default()
        .value("llama.context_length", 4, &8192u32.to_le_bytes())
        .value("other.context_length", 4, &1u32.to_le_bytes())
        .text("general.architecture", "llama")
        .text("general.name", "Tiny")
        .text("general.license", "apache-2.0")
        .value("tokenizer.ggml.tokens", 9, &words)
        .tensor(&[64, 2], 3, 0)
        .tensor(&[8], 0, 96)
        .data(96 + 32)
}

fn read(bytes: &[u8]) -> Result<GgufInfo, GgufError> {
    check(Cursor::new(bytes), bytes.len() as u64)
}

fn message(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

#[test]
fn reads_what_a_listing_needs() {
    let bytes = small().bytes();
    let info = read(&bytes).unwrap();
    assert_eq!(info.version, 3);
    assert_eq!(info.name.as_deref(), Some("Tiny"));
    assert_eq!(info.architecture.as_deref(), Some("llama"));
    assert_eq!(info.licence.as_deref(), Some("apache-2.0"));
    assert_eq!(info.context_length, Some(8192));
    assert_eq!((info.parameters, info.tensors), (136, 2));
    assert_eq!(info.needed_bytes, bytes.len() as u64);
}

#[test]
fn every_shorter_file_is_refused() {
    let bytes = small().bytes();
    for length in 0..bytes.len() {
        let error = read(&bytes[..length]).unwrap_err();
        match error {
            GgufError::NotGguf { .. } => assert!(length < 4),
            GgufError::Truncated { has, needs, .. } => {
                assert_eq!(has, length as u64);
                assert!(needs > has);
            }
            other => panic!("{length}: {other}"),
        }
    }
    let one_less = message(&bytes[..bytes.len() - 1]);
    let (has, needs) = (bytes.len() - 1, bytes.len());
    assert_eq!(one_less, format!("truncated: has {has} bytes, needs {needs}; download it again"));
}

#[test]
fn says_what_is_wrong() {
    assert!(message(b"<!DOCTYPE html>").contains("begins with \"<!DO\""));
    assert!(message(b"").contains("empty"));
    assert!(message(b"GGUF\0\0\0\x03").contains("big-endian"));
    assert!(message(b"GGUF\x01\0\0\0").contains("version 1"));
    let kind = Build::default().value("k", 77, &[]).bytes();
    assert!(message(&kind).contains("a value of type 77"));
    let zero = Build::default().value("general.alignment", 4, &[0; 4]).bytes();
    assert!(message(&zero).contains("alignment of 0"));
    let dims = Build::default().tensor(&[1; 5], 0, 0).bytes();
    assert!(message(&dims).contains("5 dimensions"));
    let huge = Build::default().tensor(&[u64::MAX, 2], 0, 0).bytes();
    assert!(message(&huge).contains("2^64 elements"));
    let far = Build::default().tensor(&[8], 0, u64::MAX).bytes();
    assert!(message(&far).contains("ends past"));
}

#[test]
fn hostile_lengths_are_refused_at_once() {
    let mut counts = b"GGUF\x03\0\0\0".to_vec();
    counts.extend([0xff; 16]);
    assert!(message(&counts).contains("tensors"));
    let array = [&8u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat();
    assert!(matches!(
        read(&Build::default().value("k", 9, &array).bytes()),
        Err(GgufError::Truncated { .. })
    ));
    let string = Build::default().value("k", 8, &u64::MAX.to_le_bytes()).bytes();
    assert!(message(&string).contains("a length of"));
    let nested = [9u32.to_le_bytes().as_slice(), &1u64.to_le_bytes()].concat().repeat(9);
    assert!(message(&Build::default().value("k", 9, &nested).bytes()).contains("nested"));
}

#[test]
fn an_unknown_tensor_type_still_bounds_the_file() {
    let bytes = Build::default().tensor(&[8], 999, 64).data(63).bytes();
    assert!(matches!(read(&bytes), Err(GgufError::Truncated { exact: true, .. })));
    assert!(read(&Build::default().tensor(&[8], 999, 64).data(64).bytes()).is_ok());
}

proptest! {
    #[test]
    fn never_panics_on_a_changed_file(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = small().bytes();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let length = cut.index(bytes.len() + 1);
        if let Ok(info) = read(&bytes[..length]) {
            prop_assert!(info.needed_bytes <= length as u64);
        }
    }

    #[test]
    fn never_panics_on_noise(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(noise);
        let _ = read(&bytes);
    }
}
