//! The `timerjobs` program.

fn main() -> std::process::ExitCode {
    timerjobs::main()
}
