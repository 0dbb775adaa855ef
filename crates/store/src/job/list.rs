//! The statement behind a list of jobs.

use basalt_model::JobId;

use super::JobFilter;
use crate::database::placeholders;
use crate::database::value::{Value, values};
use crate::statements::job as sql;

/// The statement of a list: only the conditions that are asked for, so that each can use its
/// index.
pub(crate) fn statement(
    filter: &JobFilter,
    before: Option<JobId>,
    limit: u64,
) -> (String, Vec<Value>) {
    let mut statement = sql::LIST.to_owned();
    let mut values = values![before.unwrap_or(JobId(i64::MAX))];
    let mut and = |text: &str, of: Vec<Value>| {
        let marks = placeholders(values.len(), of.len());
        statement.push_str(" and ");
        statement.push_str(&text.replace('?', &marks));
        values.extend(of);
    };
    if !filter.states.is_empty() {
        let states = filter.states.iter().map(|state| Value::from(*state));
        and("j.state in (?)", states.collect());
    }
    if !filter.outcomes.is_empty() {
        let outcomes = filter.outcomes.iter().map(|outcome| Value::from(*outcome));
        and("j.outcome in (?)", outcomes.collect());
    }
    if let Some(board) = &filter.board {
        let condition = "j.board_id = (select id from boards where name = ?)";
        and(condition, values![board]);
    }
    if let Some(device_type) = &filter.device_type {
        let condition = "j.device_type_id = (select id from device_types where name = ?)";
        and(condition, values![device_type]);
    }
    if let Some(submitter) = &filter.submitter {
        and("j.submitter = ?", values![submitter]);
    }
    if let Some(text) = &filter.text {
        let pattern = format!("%{}%", escaped(text));
        match text.parse::<i64>() {
            Ok(number) => {
                and("(j.id = ?", values![number]);
                // The other half of the same condition.
                statement.push_str(" or lower(j.name) like lower(");
                values.push(Value::from(pattern));
                statement.push_str(&format!("${}) escape '\\')", values.len()));
            }
            Err(_) => and("lower(j.name) like lower(?) escape '\\'", values![pattern]),
        }
    }
    values.push(Value::from(limit));
    statement.push_str(&format!(" order by j.id desc limit ${}", values.len()));
    (statement, values)
}

/// A text whose `%`, `_` and `\\` stand for themselves in a pattern.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// Each filter alone, with the index that it must go through, for the tests of the statements.
#[cfg(test)]
pub(crate) fn each_filter() -> Vec<(&'static str, &'static str, JobFilter)> {
    use basalt_model::{BoardName, JobState, Outcome, UserName};
    let all = JobFilter::default();
    vec![
        ("all jobs", "PRIMARY KEY", all.clone()),
        (
            "jobs of a state",
            "jobs_by_state",
            JobFilter {
                states: vec![JobState::Finished],
                ..all.clone()
            },
        ),
        (
            "jobs of an outcome",
            "jobs_by_outcome",
            JobFilter {
                outcomes: vec![Outcome::Fail],
                ..all.clone()
            },
        ),
        (
            "jobs of a board",
            "jobs_by_board",
            JobFilter {
                board: Some(BoardName::new("b1")),
                ..all.clone()
            },
        ),
        (
            "jobs of a type",
            "jobs_by_device_type",
            JobFilter {
                device_type: Some("qemu".into()),
                ..all.clone()
            },
        ),
        (
            "jobs of a submitter",
            "jobs_by_submitter",
            JobFilter {
                submitter: Some(UserName::new("ada")),
                ..all.clone()
            },
        ),
        (
            "jobs by name",
            "PRIMARY KEY",
            JobFilter {
                text: Some("boot".into()),
                ..all.clone()
            },
        ),
        (
            "jobs by number",
            "PRIMARY KEY",
            JobFilter {
                text: Some("12".into()),
                ..all
            },
        ),
    ]
}
