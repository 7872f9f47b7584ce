//! The command `teleprompt`. All of it is [`teleprompt::cli`].

fn main() -> std::process::ExitCode {
    teleprompt::cli::run()
}
