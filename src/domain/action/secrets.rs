//! An action with the values of its secrets. They are filled in after the text has been read, so that no
//! value can become a key, a header or an argument of its own.

use super::{Action, CommandAction, FuncAction, HttpAction};
use crate::domain::Text;
use crate::domain::secret::{self, SHELL_PREFIX, Values};
use serde_json::Value;
use url::Url;

impl Action {
    /// The same action with these values. An error: a URL is none with them; it does not say what they are.
    pub fn with_secrets(&self, values: &Values) -> Result<Self, Text> {
        let fill = |text: &String| secret::fill(text, values).into_owned();
        let pairs = |list: &[(String, String)]| -> Vec<(String, String)> {
            list.iter().map(|(name, value)| (name.clone(), fill(value))).collect()
        };
        Ok(match self {
            Self::Http(action) => Self::Http(Box::new(HttpAction {
                url: url("url", action.written.url.as_ref(), values)?.unwrap_or_else(|| action.url.clone()),
                proxy: url("proxy", action.written.proxy.as_ref(), values)?.or_else(|| action.proxy.clone()),
                headers: pairs(&action.headers),
                data: action.data.as_ref().map(fill),
                cookies: action.cookies.as_ref().map(fill),
                result: action.result.as_ref().map(fill),
                ..(**action).clone()
            })),
            Self::Command(action) => {
                let mut env = pairs(&action.env);
                env.extend(
                    values.iter().map(|(name, value)| (format!("{SHELL_PREFIX}{name}"), value.clone())),
                );
                let command = secret::with_variables(&action.command);
                let workdir = action.workdir.as_ref().map(fill);
                Self::Command(CommandAction { command, workdir, env, ..action.clone() })
            }
            Self::Func(action) => Self::Func(FuncAction {
                args: action.args.iter().map(|arg| argument(arg, values)).collect(),
                raw_args: fill(&action.raw_args),
                ..action.clone()
            }),
        })
    }
}

fn argument(value: &Value, values: &Values) -> Value {
    match value {
        Value::String(text) => secret::fill(text, values).into(),
        Value::Array(all) => all.iter().map(|value| argument(value, values)).collect(),
        Value::Object(all) => all.iter().map(|(key, value)| (key.clone(), argument(value, values))).collect(),
        other => other.clone(),
    }
}

fn url(key: &str, written: Option<&String>, values: &Values) -> Result<Option<Url>, Text> {
    let Some(written) = written else { return Ok(None) };
    let filled = Url::parse(&secret::fill_url(written, values)).ok();
    let good =
        filled.filter(|url| url.has_host() && (key == "proxy" || matches!(url.scheme(), "http" | "https")));
    good.map(Some).ok_or_else(|| {
        Text::new(
            format!("【{key}】填入密钥后不是有效的地址，请检查密钥的值"),
            format!("【{key}】 is no valid address with its secrets; check their values"),
        )
    })
}

#[cfg(test)]
#[path = "secrets_test.rs"]
mod tests;
