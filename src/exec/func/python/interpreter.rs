//! The Python that the settings name: where it really is and which version, or in words why there is
//! none. Also runs a tool to its end under a time limit; it keeps nothing.

use crate::domain::Text;
use crate::exec::environment::Environment;
use crate::exec::output::Capture;
use crate::exec::process::Tree;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

const PROBE_LIMIT: Duration = Duration::from_secs(20);
const SAID_MAX: usize = 16 * 1024;
const OLDEST: (u32, u32) = (3, 8);
/// A shim such as pyenv's costs a shell at each start: the interpreter itself is asked for.
const QUESTION: &str = "import sys; print('%d.%d.%d' % sys.version_info[:3]); print(sys.executable)";

/// A Python that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    pub path: PathBuf,
    pub version: String,
}

/// Starts the program once and asks what it is.
pub async fn probe(program: &str) -> Result<Interpreter, Text> {
    let mut command = Command::new(program);
    command.args(["-c", QUESTION]);
    let said = run_tool(command, PROBE_LIMIT).await.map_err(|why| {
        Text::new(
            format!("Python 不可用：{program} {}；请安装 Python 3 或设置 functions.python", why.zh),
            format!(
                "Python is not available: {program} {}; install Python 3 or set functions.python",
                why.en
            ),
        )
    })?;
    let mut lines = said.lines();
    let (version, path) = (lines.next().unwrap_or_default().to_owned(), lines.next().unwrap_or_default());
    let mut numbers = version.split('.').map(|n| n.parse().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < OLDEST || path.is_empty() {
        return Err(Text::new(
            format!("{program} 不是 Python 3.8 或更新的版本：{}", said.trim()),
            format!("{program} is no Python 3.8 or newer: {}", said.trim()),
        ));
    }
    Ok(Interpreter { path: path.into(), version })
}

/// Runs a program to its end; gives back what it said, or why it failed with the last of what it said.
pub async fn run_tool(mut command: Command, limit: Duration) -> Result<String, Text> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // An install runs what packages bring along.
    for name in Environment::default().hidden() {
        command.env_remove(name);
    }
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Text::new("未找到", "was not found"),
        _ => Text::new(format!("无法启动（{e}）"), format!("cannot be started ({e})")),
    })?;
    // When this is dropped or too slow, what the program started goes with it.
    let mut tree = Tree::of(&child, &[], "");
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let mut said = [Capture::new(SAID_MAX), Capture::new(SAID_MAX)];
    let [said_out, said_err] = &mut said;
    let work = async {
        tokio::join!(drain(&mut out, said_out), drain(&mut err, said_err));
        child.wait().await
    };
    let ended = tokio::time::timeout(limit, work).await;
    let seconds = limit.as_secs();
    let status = match ended {
        Ok(Ok(status)) => status,
        Ok(Err(e)) => return Err(Text::new(e.to_string(), e.to_string())),
        Err(_) => {
            return Err(Text::new(
                format!("{seconds} 秒内未结束"),
                format!("did not end within {seconds} s"),
            ));
        }
    };
    if let Some(tree) = &mut tree {
        tree.disarm();
    }
    let [out, err] = said.map(Capture::into_text);
    if status.success() {
        return Ok(out);
    }
    let last = last_lines(&(out + "\n" + &err));
    Err(Text::new(format!("失败（{status}）：{last}"), format!("failed ({status}): {last}")))
}

async fn drain(reader: &mut Option<impl AsyncReadExt + Unpin>, capture: &mut Capture) {
    let Some(reader) = reader else { return };
    let mut buf = vec![0; 8 * 1024];
    while let Ok(n) = reader.read(&mut buf).await {
        if n == 0 {
            break;
        }
        capture.push(&buf[..n]);
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(6)..].join("\n")
}
