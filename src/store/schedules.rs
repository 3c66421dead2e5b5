//! The triggers of the enabled jobs, without the jobs: many jobs share one.

use super::sql::Sql;
use super::{Result, Store};

/// Enabled jobs whose triggers are written alike.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SameSchedule {
    pub trigger_type: String,
    pub cron_expr: String,
    pub interval_seconds: i64,
    /// Empty: the server's.
    pub timezone: String,
    /// How many.
    pub jobs: i64,
}

impl Store {
    /// At most `most` groups of enabled jobs with the same trigger, the largest first. It reads every job
    /// once: 100,000 take a tenth to a fifth of a second.
    pub async fn schedules(&self, most: i64) -> Result<Vec<SameSchedule>> {
        const TRIGGER: &str = "trigger_type, cron_expr, interval_seconds, timezone";
        let text = format!(
            "SELECT {TRIGGER}, count(*) AS jobs FROM tj_jobs WHERE enabled GROUP BY {TRIGGER} \
             ORDER BY count(*) DESC LIMIT ?"
        );
        self.read.fetch(&Sql::new(text).bind(most)).await
    }
}
