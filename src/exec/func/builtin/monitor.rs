//! `Monitor`: looks at the machine, a process, a port or a page. What it saw is one line of
//! key=value; a limit that is passed, and a thing that is not there, fail the run with that line.

use super::{Builtin, Call, Output, Param, Words, Work};
use crate::domain::Text;
use crate::domain::action::{HttpAction, Repeat, WrittenUrls};
use crate::exec::egress::{Egress, Refused};
use crate::exec::http::Http;
use futures_util::future::BoxFuture;
use sysinfo::{MINIMUM_CPU_UPDATE_INTERVAL, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

pub const BUILTIN: Builtin = Builtin {
    name: "Monitor",
    description: Words {
        zh: "检查磁盘、内存、CPU、负载、进程、端口或网址，超过上限即失败",
        en: "Checks disk, memory, cpu, load, a process, a port or a url; fails past a limit",
    },
    params: &[
        Param {
            name: "check",
            about: Words {
                zh: "disk、memory、cpu、load、process、port 或 url",
                en: "disk, memory, cpu, load, process, port or url",
            },
            required: true,
        },
        Param {
            name: "args",
            about: Words {
                zh: "disk,路径,上限% | memory,上限% | cpu,上限% | load,上限 | process,名称 | port,主机:端口 | url,地址,状态码",
                en: "disk,path,max% | memory,max% | cpu,max% | load,max | process,name | port,host:port | url,address,status",
            },
            required: false,
        },
    ],
    example: "Monitor disk,/,90",
    work: Work::Async(monitor),
};

fn monitor<'a>(call: &'a Call<'a>, http: &'a Http) -> BoxFuture<'a, Result<Output, Text>> {
    Box::pin(async move {
        let texts: Vec<String> = call.texts().iter().map(|text| text.trim().to_owned()).collect();
        let arg = |at: usize| texts.get(at).map_or("", String::as_str);
        let check = arg(0).to_ascii_lowercase();
        match check.as_str() {
            "disk" => disk(arg(1), arg(2)).await,
            "memory" | "mem" => memory(limit(arg(1))?),
            "cpu" => cpu(limit(arg(1))?).await,
            "load" => load(limit(arg(1))?),
            "process" => process(required(&check, arg(1), "nginx")?.to_owned()).await,
            "port" => port(required(&check, arg(1), "127.0.0.1:22")?, http.egress()).await,
            "url" => url(required(&check, arg(1), "https://example.com")?, arg(2), call, http).await,
            _ => Err(Text::new(
                format!("参数 1 “{check}” 不是检查项，可用：disk memory cpu load process port url"),
                format!("argument 1, \"{check}\", is none of disk, memory, cpu, load, process, port and url"),
            )),
        }
    })
}

/// `disk`, `disk,90`, `disk,/path` or `disk,/path,90`.
#[cfg(unix)]
async fn disk(path: &str, max: &str) -> Result<Output, Text> {
    let (path, max) = match (max, limit(path)) {
        ("", Ok(max)) => ("/", max),
        _ => (if path.is_empty() { "/" } else { path }, limit(max)?),
    };
    let owned = path.to_owned();
    // A dead network disk answers late or never.
    let stat = apart(move || rustix::fs::statvfs(owned)).await?.map_err(|e| {
        let e = std::io::Error::from(e);
        Text::new(
            format!("“{path}” 无法检查，请检查路径：{e}"),
            format!("\"{path}\" cannot be looked at ({e}); check the path"),
        )
    })?;
    // As df has it: what only root may use counts neither as free nor as used.
    let used = (stat.f_blocks - stat.f_bfree) * stat.f_frsize;
    let free = stat.f_bavail * stat.f_frsize;
    let percent = share(used, used + free);
    let line =
        format!("check=disk path={path} used_percent={percent:.1} used_bytes={used} free_bytes={free}");
    judge(line, percent, max)
}

#[cfg(not(unix))]
async fn disk(_: &str, _: &str) -> Result<Output, Text> {
    Err(Text::new(
        "Monitor disk 目前只支持 Linux 和 macOS，请改用 command 模式",
        "Monitor disk works on Linux and macOS only; use a job of mode command",
    ))
}

fn memory(max: Option<f64>) -> Result<Output, Text> {
    let mut system = system()?;
    system.refresh_memory();
    let (used, total) = (system.used_memory(), system.total_memory());
    let percent = share(used, total);
    let line = format!("check=memory used_percent={percent:.1} used_bytes={used} total_bytes={total}");
    judge(line, percent, max)
}

/// The share of the time between two looks.
async fn cpu(max: Option<f64>) -> Result<Output, Text> {
    let mut system = system()?;
    system.refresh_cpu_usage();
    tokio::time::sleep(MINIMUM_CPU_UPDATE_INTERVAL).await;
    system.refresh_cpu_usage();
    let percent = f64::from(system.global_cpu_usage());
    let line = format!("check=cpu used_percent={percent:.1} cores={}", system.cpus().len());
    judge(line, percent, max)
}

/// The limit is for the average of one minute.
fn load(max: Option<f64>) -> Result<Output, Text> {
    let load = System::load_average()
        .map_err(|e| Text::new(format!("无法读取系统负载：{e}"), format!("the load cannot be read: {e}")))?;
    let line = format!("check=load one={:.2} five={:.2} fifteen={:.2}", load.one, load.five, load.fifteen);
    judge(line, load.one, max)
}

/// Processes by the name of their program, whole and in any case.
async fn process(name: String) -> Result<Output, Text> {
    let wanted = name.clone();
    let pids = apart(move || {
        let mut system = system()?;
        let what = ProcessRefreshKind::nothing().with_exe(UpdateKind::Always).without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
        let is = |text: &std::ffi::OsStr| {
            let text = text.to_string_lossy();
            text.trim_end_matches(".exe").eq_ignore_ascii_case(wanted.trim_end_matches(".exe"))
        };
        let found = system.processes().iter().filter(|(_, process)| {
            // The kernel cuts a name to 15 bytes; the program's file has it whole.
            is(process.name()) || process.exe().and_then(|exe| exe.file_name()).is_some_and(is)
        });
        let mut pids: Vec<u32> = found.map(|(pid, _)| pid.as_u32()).collect();
        pids.sort_unstable();
        Ok(pids)
    })
    .await??;
    let shown = pids.iter().take(20).map(u32::to_string).collect::<Vec<_>>().join(",");
    let line = format!("check=process name={name} count={} pids={shown}", pids.len());
    if pids.is_empty() {
        return Err(Text::new(
            format!("没有名为 {name} 的进程，请检查它是否已启动：{line}"),
            format!("no process is named {name}; see whether it was started: {line}"),
        ));
    }
    Ok(Output::same(line))
}

async fn port(address: &str, egress: &Egress) -> Result<Output, Text> {
    let address = if address.contains(':') { address.to_owned() } else { format!("127.0.0.1:{address}") };
    let line = format!("check=port address={address}");
    let connected = match address.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) => egress.connect(host, port).await,
        _ => Err(Refused::Io(std::io::Error::new(std::io::ErrorKind::InvalidInput, "the port is no number"))),
    };
    match connected {
        Ok(_) => Ok(Output::same(format!("{line} open=true"))),
        Err(Refused::Blocked(blocked)) => Err(blocked.text()),
        Err(Refused::Io(e)) => Err(Text::new(
            format!("端口无法连接，请检查服务与地址（主机:端口）：{line} open=false（{e}）"),
            format!(
                "the port does not answer; check the service and the address, host:port: {line} open=false ({e})"
            ),
        )),
    }
}

/// Any 2xx, or exactly the status that is given.
async fn url(address: &str, status: &str, call: &Call<'_>, http: &Http) -> Result<Output, Text> {
    let url = url::Url::parse(address).ok().filter(|u| matches!(u.scheme(), "http" | "https")).ok_or_else(
        || {
            Text::new(
                format!("“{address}” 不是 http 或 https 地址，例如 Monitor url,https://example.com"),
                format!("\"{address}\" is no http or https address, as in Monitor url,https://example.com"),
            )
        },
    )?;
    let wanted = match status {
        "" => None,
        _ => Some(status.parse::<u16>().ok().filter(|s| (100..600).contains(s)).ok_or_else(|| {
            Text::new(
                format!("参数 3 “{status}” 不是状态码，例如 200"),
                format!("argument 3, \"{status}\", is no status such as 200"),
            )
        })?),
    };
    let action = HttpAction {
        url,
        method: "GET".into(),
        headers: Vec::new(),
        data: None,
        cookies: None,
        proxy: None,
        // The call's own timeout ends it earlier.
        timeout: std::time::Duration::from_secs(86_400),
        result: None,
        repeat: Repeat::default(),
        written: WrittenUrls::default(),
    };
    let report = http.run(&action, call.ctx, 0).await;
    let (got, shown) = report.http.map_or((None, address.to_owned()), |http| (http.status, http.url));
    let Some(got) = got else {
        return Err(report.error.unwrap_or_else(|| Text::new("没有响应", "there was no answer")));
    };
    let line = format!("check=url url={shown} status={got}");
    if wanted.map_or((200..300).contains(&got), |wanted| wanted == got) {
        return Ok(Output::same(line));
    }
    let wanted = wanted.map_or("2xx".to_owned(), |wanted| wanted.to_string());
    Err(Text::new(format!("状态码应为 {wanted}：{line}"), format!("the status should be {wanted}: {line}")))
}

fn system() -> Result<System, Text> {
    System::new().map_err(|e| {
        Text::new(format!("无法读取系统信息：{e}"), format!("the machine's figures cannot be read: {e}"))
    })
}

/// Fails when `value` is above the limit.
fn judge(line: String, value: f64, max: Option<f64>) -> Result<Output, Text> {
    match max {
        Some(max) if value > max => Err(Text::new(
            format!("超过上限 {max}：{line} max={max}"),
            format!("above the limit of {max}: {line} max={max}"),
        )),
        Some(max) => Ok(Output::same(format!("{line} max={max}"))),
        None => Ok(Output::same(line)),
    }
}

/// `90`, `90%` or nothing.
fn limit(text: &str) -> Result<Option<f64>, Text> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.trim_end_matches('%').trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    number.map(Some).ok_or_else(|| {
        Text::new(
            format!("上限 “{text}” 不是数，例如 90"),
            format!("the limit \"{text}\" is no number such as 90"),
        )
    })
}

fn required<'a>(check: &str, text: &'a str, example: &str) -> Result<&'a str, Text> {
    if !text.is_empty() {
        return Ok(text);
    }
    Err(Text::new(
        format!("{check} 缺少参数 2，例如 Monitor {check},{example}"),
        format!("{check} needs a second argument, as in Monitor {check},{example}"),
    ))
}

#[expect(clippy::cast_precision_loss, reason = "a percentage with one decimal")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// On a thread that may wait.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Text> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Text::new("检查中断", "the check broke off"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::testing::{action, context};
    use super::*;
    use crate::domain::run::{Outcome, Report};
    use crate::exec::func::{Tools, run};
    use crate::exec::http::tests::{answer, serve};
    use crate::exec::output::Output;
    use crate::exec::secrets::Secrets;
    use std::sync::Arc;

    async fn go(raw: &str) -> Report {
        let http = Http::new(1 << 20, Arc::default()).unwrap();
        let functions = crate::exec::func::Functions::new(crate::exec::func::Settings::default());
        let tools = Tools { http: &http, keep: 1 << 16, functions: &functions };
        let mut output = Output::new(&Arc::default(), 1 << 16, &Secrets::default());
        run(&action(&BUILTIN, raw), &context(), &tools, &mut output).await
    }

    #[tokio::test]
    async fn tells_of_the_machine_in_one_line() {
        for (raw, start) in [
            ("disk", "check=disk path=/ used_percent="),
            ("disk,/tmp", "check=disk path=/tmp used_percent="),
            ("disk,/tmp,100%", "check=disk path=/tmp used_percent="),
            ("Memory,100", "check=memory used_percent="),
            ("load,1000000", "check=load one="),
            ("cpu", "check=cpu used_percent="),
        ] {
            let report = go(raw).await;
            let result = report.result.unwrap_or_default();
            assert!(report.outcome == Outcome::Success, "{raw}: {:?}", report.error);
            assert!(result.starts_with(start) && result.lines().count() == 1, "{raw}: {result}");
        }
    }

    #[test]
    fn a_limit_that_is_passed_fails() {
        assert_eq!(judge("a=1".into(), 90.0, Some(90.0)).unwrap().result, "a=1 max=90");
        let error = judge("a=1".into(), 90.1, Some(90.0)).unwrap_err();
        assert_eq!(error.en, "above the limit of 90: a=1 max=90");
        assert_eq!(limit("85.5 %").unwrap(), Some(85.5));
    }

    #[tokio::test]
    async fn finds_a_process() {
        let own = std::env::current_exe().unwrap();
        let name = own.file_name().unwrap().to_string_lossy().into_owned();
        let result = go(&format!("process,{name}")).await.result.unwrap();
        assert!(result.contains(&std::process::id().to_string()), "{result}");
        let report = go("process,no-such-program").await;
        assert!(report.outcome == Outcome::Failed && report.error.unwrap().en.contains("count=0"));
    }

    #[tokio::test]
    async fn knows_open_ports_from_closed_ones() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let result = go(&format!("port,{address}")).await.result.unwrap();
        assert_eq!(result, format!("check=port address={address} open=true"));
        assert_eq!(go(&format!("port,{}", address.port())).await.result.unwrap(), result);
        drop(listener);
        assert!(go(&format!("port,{address}")).await.error.unwrap().en.contains("open=false"));
    }

    #[tokio::test]
    async fn asks_a_page_for_its_status() {
        let (address, _seen) = serve(|_| answer("404 Not Found", "", b"none")).await;
        let result = go(&format!("url,http://{address}/a,404")).await.result.unwrap();
        assert_eq!(result, format!("check=url url=http://{address}/a status=404"));
        let error = go(&format!("url,http://{address}/a")).await.error.unwrap().en;
        assert!(error.starts_with("the status should be 2xx: check=url"), "{error}");
    }

    #[tokio::test]
    async fn a_bad_call_is_told_the_mend() {
        for (raw, part) in [
            ("", "is none of disk"),
            ("disk,/none", "check the path"),
            ("memory,lots", "no number such as 90"),
            ("process", "Monitor process,nginx"),
            ("url,nonsense", "no http or https address"),
            ("url,http://x/,2000", "no status such as 200"),
        ] {
            let en = go(raw).await.error.unwrap().en;
            assert!(en.contains(part), "{raw}: {en}");
        }
    }
}
