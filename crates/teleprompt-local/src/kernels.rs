//! Whether llama.cpp's kernels use the machine.

/// A line for the user if this binary was compiled without AVX2 but the machine has it: then
/// llama.cpp is 3 to 30 times slower than it could be. `None` if all is well.
///
/// ```
/// if let Some(line) = teleprompt_local::kernel_warning() {
///     eprintln!("{line}");
/// }
/// ```
pub fn kernel_warning() -> Option<String> {
    #[cfg(target_arch = "x86_64")]
    let has = std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    let has = false;
    warning(has, cfg!(target_feature = "avx2"))
}

fn warning(machine_has_avx2: bool, compiled_with_avx2: bool) -> Option<String> {
    (machine_has_avx2 && !compiled_with_avx2).then(|| {
        "this binary does not use the machine's AVX2 instructions, so local models run 3 to 30 \
         times slower; install it again with RUSTFLAGS=\"-C target-cpu=native\" cargo install \
         teleprompt-cli"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_only_of_what_is_lost() {
        assert!(warning(true, false).unwrap().contains("target-cpu=native"));
        assert_eq!([warning(true, true), warning(false, false)], [None, None]);
    }
}
