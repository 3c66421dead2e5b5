//! `Hello`: greets by name.

use super::{Builtin, Call, Output, Param, Words, Work};
use crate::domain::Text;

pub const BUILTIN: Builtin = Builtin {
    name: "Hello",
    description: Words { zh: "问候", en: "Greets someone by name" },
    params: &[Param {
        name: "name",
        about: Words { zh: "姓名，默认 世界", en: "a name, by default 世界" },
        required: false,
    }],
    example: "Hello 张三",
    work: Work::Sync(hello),
};

fn hello(call: &Call) -> Result<Output, Text> {
    let texts = call.texts();
    let name = texts.first().map(|n| n.trim()).filter(|n| !n.is_empty()).unwrap_or("世界");
    Ok(Output::same(format!("Hello, {name}!")))
}

#[cfg(test)]
mod tests {
    use super::super::testing::call;
    use super::*;

    #[test]
    fn greets_the_first_argument_or_the_world() {
        for (raw, hello) in [
            ("张三", "Hello, 张三!"),
            ("Ann Lee", "Hello, Ann Lee!"),
            ("a,b", "Hello, a!"),
            (r#"["李四"]"#, "Hello, 李四!"),
            ("", "Hello, 世界!"),
            (r#"" ""#, "Hello, 世界!"),
        ] {
            assert_eq!(call(&BUILTIN, raw).unwrap().result, hello);
        }
    }
}
