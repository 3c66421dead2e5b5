//! `Test`: shows that functions run, and what reached them.

use super::{Builtin, Call, Output, Param, Words, Work};
use crate::domain::Text;

pub const BUILTIN: Builtin = Builtin {
    name: "Test",
    description: Words {
        zh: "测试函数系统是否正常，并返回参数",
        en: "Tells that functions work, and gives its arguments back",
    },
    params: &[Param { name: "args", about: Words { zh: "任意参数", en: "any values" }, required: false }],
    example: "Test test123",
    work: Work::Sync(test),
};

fn test(call: &Call) -> Result<Output, Text> {
    let texts = call.texts();
    let args = if texts.is_empty() { "-".to_owned() } else { texts.join(", ") };
    Ok(Output::same(format!("函数系统工作正常 (functions work), 参数 args: {args}")))
}

#[cfg(test)]
mod tests {
    use super::super::testing::call;
    use super::*;

    #[test]
    fn gives_the_arguments_back() {
        for (raw, args) in
            [("test123", "test123"), ("a, b", "a, b"), (r#"[1,"x",null]"#, "1, x, null"), ("", "-")]
        {
            let result = call(&BUILTIN, raw).unwrap().result;
            assert_eq!(result, format!("函数系统工作正常 (functions work), 参数 args: {args}"));
        }
    }
}
