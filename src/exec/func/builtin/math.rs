//! `Math`: arithmetic on decimals, not on binary fractions, so 0.1 + 0.2 is 0.3. A number has up
//! to 28 significant digits; what does not fit is a failure, never a wrong value.

use super::{Builtin, Call, Output, Param, Words, Work};
use crate::domain::Text;
use rust_decimal::prelude::{MathematicalOps, ToPrimitive};
use rust_decimal::{Decimal, RoundingStrategy};

pub const BUILTIN: Builtin = Builtin {
    name: "Math",
    description: Words {
        zh: "十进制精确计算：加减乘除、取余、乘方",
        en: "Calculates in exact decimals: + - * / % ^",
    },
    params: &[
        Param {
            name: "op",
            about: Words {
                zh: "操作符：+ - * / % ^，或 add sub mul div mod pow",
                en: "+ - * / % ^, or add sub mul div mod pow",
            },
            required: true,
        },
        Param { name: "a", about: Words { zh: "第一个数", en: "the first number" }, required: true },
        Param {
            name: "b",
            about: Words {
                zh: "第二个数；可以继续写更多，从左到右计算（^ 除外）",
                en: "the second number; more may follow and are taken from left to right (not for ^)",
            },
            required: true,
        },
    ],
    example: "Math +,10,5",
    work: Work::Sync(math),
};

/// Digits kept of a power with a fractional exponent: it is computed by a series, whose last
/// digits are not to be trusted.
const POWER_DIGITS: u32 = 20;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
}

fn math(call: &Call) -> Result<Output, Text> {
    let texts = call.texts();
    let op = op(texts.first().map_or("", |t| t.trim()))?;
    let numbers = texts
        .iter()
        .enumerate()
        .skip(1)
        .map(|(i, text)| number(i + 1, text))
        .collect::<Result<Vec<_>, _>>()?;
    let count = numbers.len();
    let (Some((first, rest)), 2..) = (numbers.split_first(), count) else {
        return Err(Text::new(
            format!("至少需要两个数，实际 {count} 个，例如 Math +,10,5"),
            format!("needs two numbers at least and has {count}; write it as Math +,10,5"),
        ));
    };
    if op == Op::Pow && count != 2 {
        return Err(Text::new(
            format!("乘方需要正好两个数，实际 {count} 个，例如 Math ^,2,10"),
            format!("^ takes exactly two numbers and has {count}; write it as Math ^,2,10"),
        ));
    }
    let mut value = *first;
    for (i, number) in rest.iter().enumerate() {
        // Argument 1 is the operator and argument 2 the first number.
        value = apply(op, value, *number, i + 3)?;
    }
    let result = value.normalize().to_string();
    let formula = numbers.iter().map(|n| n.normalize().to_string()).collect::<Vec<_>>().join(op.sign());
    Ok(Output { stdout: format!("{formula} = {result}"), result })
}

impl Op {
    fn sign(self) -> &'static str {
        match self {
            Self::Add => " + ",
            Self::Sub => " - ",
            Self::Mul => " * ",
            Self::Div => " / ",
            Self::Mod => " % ",
            Self::Pow => " ^ ",
        }
    }
}

fn op(word: &str) -> Result<Op, Text> {
    Ok(match word.to_ascii_lowercase().as_str() {
        "+" | "＋" | "add" => Op::Add,
        "-" | "−" | "－" | "sub" => Op::Sub,
        "*" | "×" | "x" | "mul" => Op::Mul,
        "/" | "÷" | "div" => Op::Div,
        "%" | "mod" => Op::Mod,
        "^" | "pow" => Op::Pow,
        _ => {
            return Err(Text::new(
                format!("参数 1 “{word}” 不是操作符，可用：+ - * / % ^，例如 Math +,10,5"),
                format!("argument 1, \"{word}\", is not an operator; use + - * / % or ^, as in Math +,10,5"),
            ));
        }
    })
}

/// Argument `at`, counted from 1, as a number: `12`, `-0.5` or `1.5e3`.
fn number(at: usize, text: &str) -> Result<Decimal, Text> {
    let text = text.trim();
    let parsed = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
    parsed.map_err(|_| {
        Text::new(
            format!("参数 {at} “{text}” 不是数，或超过 28 位有效数字"),
            format!("argument {at}, \"{text}\", is not a number of up to 28 digits"),
        )
    })
}

/// `a op b`, where b is argument `at`. `%` takes the sign of `a`, as in Go.
fn apply(op: Op, a: Decimal, b: Decimal, at: usize) -> Result<Decimal, Text> {
    if matches!(op, Op::Div | Op::Mod) && b.is_zero() {
        return Err(Text::new(
            format!("参数 {at} 为 0，不能作除数"),
            format!("argument {at} is 0: cannot divide by it"),
        ));
    }
    let value = match op {
        Op::Add => a.checked_add(b),
        Op::Sub => a.checked_sub(b),
        Op::Mul => a.checked_mul(b),
        Op::Div => a.checked_div(b),
        Op::Mod => a.checked_rem(b),
        Op::Pow => return power(a, b),
    };
    value.ok_or_else(|| too_large(a, op, b))
}

fn power(base: Decimal, exponent: Decimal) -> Result<Decimal, Text> {
    if base.is_zero() {
        return if exponent.is_zero() {
            Ok(Decimal::ONE)
        } else if exponent.is_sign_positive() {
            Ok(Decimal::ZERO)
        } else {
            Err(Text::new(
                "参数 2 为 0 时，指数（参数 3）不能为负",
                "argument 3, the exponent, cannot be negative when argument 2 is 0",
            ))
        };
    }
    let value = if exponent.fract().is_zero() {
        exponent.to_i64().and_then(|whole| base.checked_powi(whole))
    } else if base.is_sign_negative() {
        return Err(Text::new(
            format!("参数 2（{base}）为负时，指数（参数 3）必须是整数"),
            format!("argument 3, the exponent, must be whole when argument 2 ({base}) is negative"),
        ));
    } else if exponent.normalize() == Decimal::new(5, 1) {
        base.sqrt()
    } else {
        base.checked_powd(exponent)
            .and_then(|v| v.round_sf_with_strategy(POWER_DIGITS, RoundingStrategy::MidpointNearestEven))
    };
    value.ok_or_else(|| too_large(base, Op::Pow, exponent))
}

fn too_large(a: Decimal, op: Op, b: Decimal) -> Text {
    let sign = op.sign();
    Text::new(
        format!("{a}{sign}{b} 的结果超出范围（最多 28 位有效数字）"),
        format!("{a}{sign}{b} does not fit: a number has up to 28 digits"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::call;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn calculates() {
        for (raw, result) in [
            ("+,10,5", "15"),
            ("+,100,50", "150"),
            ("add,0.1,0.2", "0.3"),
            ("+,1.25,2.25", "3.5"),
            ("+, 1 , 2 , 3 ,4", "10"),
            (r#"["+", 1, 2.50]"#, "3.5"),
            ("-,10,5,3", "2"),
            ("sub,1,3", "-2"),
            ("-,1.0,1", "0"),
            ("+,-0,0", "0"),
            ("*,1.50,2", "3"),
            ("×,3,4", "12"),
            ("x,3,4", "12"),
            ("MUL,2,3,4", "24"),
            ("/,10,4", "2.5"),
            ("÷,1,3", "0.3333333333333333333333333333"),
            ("div,100,5,2", "10"),
            ("%,10,3", "1"),
            ("%,-10,3", "-1"),
            ("mod,5.5,2", "1.5"),
            ("^,2,10", "1024"),
            ("pow,2,-2", "0.25"),
            ("^,-2,3", "-8"),
            ("^,2,95", "39614081257132168796771975168"),
            ("^,10,28", "10000000000000000000000000000"),
            ("^,10,-28", "0.0000000000000000000000000001"),
            ("^,1.5,2.0", "2.25"),
            ("^,0,0", "1"),
            ("^,0,2.5", "0"),
            ("^,2,0.5", "1.4142135623730950488016887242"),
            ("^,4,0.5", "2"),
            ("^,4,1.5", "8"),
            ("^,32,0.2", "2"),
            ("+,1.5e3,1E-2", "1500.01"),
        ] {
            assert_eq!(call(&BUILTIN, raw).unwrap().result, result, "{raw}");
        }
        assert_eq!(call(&BUILTIN, "+,10,5").unwrap().stdout, "10 + 5 = 15");
    }

    #[test]
    fn a_bad_argument_is_named() {
        for (raw, en) in [
            ("", "argument 1, \"\", is not an operator; use + - * / % or ^, as in Math +,10,5"),
            ("?,1,2", "argument 1, \"?\", is not an operator; use + - * / % or ^, as in Math +,10,5"),
            ("+,1", "needs two numbers at least and has 1; write it as Math +,10,5"),
            ("+", "needs two numbers at least and has 0; write it as Math +,10,5"),
            ("^,2,3,4", "^ takes exactly two numbers and has 3; write it as Math ^,2,10"),
            ("+,1,abc", "argument 3, \"abc\", is not a number of up to 28 digits"),
            ("+,,1", "argument 2, \"\", is not a number of up to 28 digits"),
            ("+,1,NaN", "argument 3, \"NaN\", is not a number of up to 28 digits"),
            (
                "+,1,99999999999999999999999999999999",
                "argument 3, \"99999999999999999999999999999999\", is not a number of up to 28 digits",
            ),
            (r#"["+",1,true]"#, "argument 3, \"true\", is not a number of up to 28 digits"),
            ("/,1,0", "argument 3 is 0: cannot divide by it"),
            ("/,1,2,0.0", "argument 4 is 0: cannot divide by it"),
            ("%,1,0", "argument 3 is 0: cannot divide by it"),
            ("^,0,-1", "argument 3, the exponent, cannot be negative when argument 2 is 0"),
            ("^,0,-0.5", "argument 3, the exponent, cannot be negative when argument 2 is 0"),
            ("^,-4,0.5", "argument 3, the exponent, must be whole when argument 2 (-4) is negative"),
            ("^,2,96", "2 ^ 96 does not fit: a number has up to 28 digits"),
            ("^,10,1000000", "10 ^ 1000000 does not fit: a number has up to 28 digits"),
            (
                "*,79228162514264337593543950335,2",
                "79228162514264337593543950335 * 2 does not fit: a number has up to 28 digits",
            ),
        ] {
            assert_eq!(call(&BUILTIN, raw).unwrap_err().en, en, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(op in "[-+*/%^]", a in "-?[0-9]{1,28}", b in "-?[0-9]{0,12}\\.?[0-9]{1,12}") {
            let _ = call(&BUILTIN, &format!("{op},{a},{b}"));
            let _ = call(&BUILTIN, &format!("{op},{b},{a}"));
            let _ = call(&BUILTIN, &format!("{op},{b},{b}"));
        }

        #[test]
        fn sums_are_exact(a in -1_000_000_000i64..1_000_000_000, b in -1_000_000_000i64..1_000_000_000) {
            prop_assert_eq!(call(&BUILTIN, &format!("+,{a},{b}")).unwrap().result, (a + b).to_string());
        }
    }
}
