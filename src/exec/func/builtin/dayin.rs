//! `Dayin` (打印): prints what a run knows of itself, to see that a job is set up as meant.

use super::{Builtin, Call, Output, Param, Words, Work};
use crate::domain::Text;

pub const BUILTIN: Builtin = Builtin {
    name: "Dayin",
    description: Words {
        zh: "打印任务信息和全部参数", en: "Prints the job's information and each argument"
    },
    params: &[Param {
        name: "args",
        about: Words { zh: "任意个参数", en: "any number of values" },
        required: false,
    }],
    example: "Dayin 1,hello,true",
    work: Work::Sync(dayin),
};

fn dayin(call: &Call) -> Result<Output, Text> {
    let (ctx, texts) = (call.ctx, call.texts());
    let mut stdout = format!(
        "任务名称 job_name: {}\n任务编号 job_id: {}\n执行编号 exec_id: {}\n计划时间 scheduled_at: {} ({})\n",
        ctx.job_name,
        ctx.job_id,
        ctx.exec_id,
        ctx.scheduled_at.local_seconds(ctx.zone),
        ctx.zone
    );
    for (i, text) in texts.iter().enumerate() {
        stdout.push_str(&format!("参数 arg {}: {text}\n", i + 1));
    }
    Ok(Output { stdout, result: texts.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::super::testing::call;
    use super::*;

    #[test]
    fn prints_the_job_and_each_argument() {
        let output = call(&BUILTIN, r#"1,"a,b",true"#).unwrap();
        assert_eq!(output.result, "1, a,b, true");
        assert_eq!(
            output.stdout,
            "任务名称 job_name: 备份\n任务编号 job_id: 7\n执行编号 exec_id: 00000000000000ff\n\
             计划时间 scheduled_at: 2006-01-03 06:04:05 (Asia/Shanghai)\n\
             参数 arg 1: 1\n参数 arg 2: a,b\n参数 arg 3: true\n"
        );
    }

    #[test]
    fn needs_no_argument() {
        let output = call(&BUILTIN, "").unwrap();
        assert_eq!((output.result.as_str(), output.stdout.lines().count()), ("", 4));
    }
}
