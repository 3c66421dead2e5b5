//! The migrations are compiled in by a macro, and cargo does not see that a file was added: this does.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
