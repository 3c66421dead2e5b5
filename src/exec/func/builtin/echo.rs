//! `Echo`: gives its text back. The text is free, so commas, quotes and backslashes are kept as
//! they were written; only a JSON array is taken apart, and its elements joined by a space, as the
//! shell's `echo` does with its words.

use super::{Builtin, Call, Output, Param, Words, Work};
use crate::domain::Text;

pub const BUILTIN: Builtin = Builtin {
    name: "Echo",
    description: Words { zh: "原样返回文本", en: "Gives the text back as it is" },
    params: &[Param { name: "text", about: Words { zh: "任意文本", en: "any text" }, required: false }],
    example: "Echo Hello World",
    work: Work::Sync(echo),
};

fn echo(call: &Call) -> Result<Output, Text> {
    Ok(Output::same(if call.is_json() { call.texts().join(" ") } else { call.raw.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::call;
    use super::*;

    #[test]
    fn gives_back_what_was_written() {
        for (raw, text) in [
            ("Hello World", "Hello World"),
            (r#"a, "b,c" \d"#, r#"a, "b,c" \d"#),
            ("两行\n文字", "两行\n文字"),
            (r#"["a", 1, true]"#, "a 1 true"),
            ("[not json]", "[not json]"),
            ("", ""),
        ] {
            assert_eq!(call(&BUILTIN, raw).unwrap().result, text);
        }
    }
}
