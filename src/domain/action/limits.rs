//! What a command may use, and as whom it runs: what a job asks for, what the server allows, and what
//! becomes of the two. Setting the limits is `exec/limited`.

use crate::domain::{FieldError, Text};

/// The least memory that can be asked for: a shell and a small program beside it.
pub const MEMORY_MIN: u64 = 16 << 20;
/// 4 TiB.
pub const MEMORY_MAX: u64 = 4 << 40;
/// A day of processor time.
pub const CPU_MAX: u32 = 86_400;
/// The fewest open files: a shell with its pipes.
pub const FILES_MIN: u32 = 16;
/// What the kernel allows without being told otherwise (`fs.nr_open`).
pub const FILES_MAX: u32 = 1_048_576;
/// Bytes of a user's name.
const USER_MAX: usize = 64;

/// Each is `None` where nothing is asked for or nothing is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// A user's name or number.
    pub user: Option<String>,
    /// Bytes of address space of each process.
    pub memory: Option<u64>,
    /// Seconds of processor time of each process.
    pub cpu: Option<u32>,
    /// Open files of each process.
    pub files: Option<u32>,
}

impl Limits {
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What holds for a job that asks for this on a server that allows `server`. A job may ask for
    /// less, and for a user only where the server names none.
    ///
    /// # Errors
    /// Each key that asks for more, under the field `command`.
    pub fn under(&self, server: &Self) -> Result<Self, Vec<FieldError>> {
        let mut refused = Vec::new();
        if let (Some(asked), Some(all)) = (&self.user, &server.user) {
            refused.push(refusal(
                "user",
                asked,
                format!("不能使用：服务器规定所有命令以 {all} 身份运行（commands.run_as），请删除"),
                format!(
                    "cannot be used: the server runs every command as {all} (commands.run_as); remove it"
                ),
            ));
        }
        let mut number = |key, setting, asked: Option<u64>, most: Option<u64>, show: fn(u64) -> String| {
            if let (Some(asked), Some(most)) = (asked, most)
                && asked > most
            {
                let (asked, most) = (show(asked), show(most));
                refused.push(refusal(
                    key,
                    &asked,
                    format!("为 {asked}，超过服务器上限 {most}（{setting}），请改小"),
                    format!(
                        "is {asked}, more than the {most} that the server allows ({setting}); ask for less"
                    ),
                ));
            }
            asked.or(most)
        };
        let memory = number("memory", "commands.memory_mb", self.memory, server.memory, show_memory);
        let [cpu, files] = [
            ("cpu", "commands.cpu_seconds", self.cpu, server.cpu),
            ("files", "commands.open_files", self.files, server.files),
        ]
        .map(|(key, setting, asked, most)| {
            let sum = number(key, setting, asked.map(u64::from), most.map(u64::from), |n| n.to_string());
            sum.and_then(|n| u32::try_from(n).ok())
        });
        let user = self.user.clone().or_else(|| server.user.clone());
        if refused.is_empty() { Ok(Self { user, memory, cpu, files }) } else { Err(refused) }
    }
}

fn refusal(key: &str, value: &str, zh: String, en: String) -> FieldError {
    FieldError::new("command", Text::new(format!("【{key}】{zh}"), format!("【{key}】 {en}")), value)
}

/// The largest unit that says it without a fraction.
pub fn show_memory(bytes: u64) -> String {
    const UNITS: [(u32, char); 4] = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    let unit = UNITS.iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    unit.map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

/// A number with K, M, G or T (of 1,024), as in `512M`; `MB` and `MiB` mean the same.
pub fn parse_memory(text: &str) -> Option<u64> {
    let end = text.bytes().position(|b| !b.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let shift = match unit.trim_start().to_ascii_uppercase().as_str() {
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return None,
    };
    let bytes = number.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    (MEMORY_MIN..=MEMORY_MAX).contains(&bytes).then_some(bytes)
}

/// Whether this can be a user's name or number. Whether there is such a user is known when it runs.
pub fn is_user(text: &str) -> bool {
    let good = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, ':' | '/' | ',');
    !text.is_empty() && text.len() <= USER_MAX && !text.starts_with('-') && text.chars().all(good)
}

#[cfg(test)]
#[path = "limits_test.rs"]
mod tests;
