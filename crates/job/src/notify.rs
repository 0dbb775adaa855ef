//! `notify`: who is told of a job's end (facts: LAVA 2026.10).

use basalt_yaml::Node;

use crate::values::strings;

/// `notify` of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// When.
    pub criteria: Criteria,
    /// `verbose`, `quiet` or `status-only`.
    pub verbosity: Option<String>,
    /// Persons.
    pub recipients: Vec<Recipient>,
    /// Servers: `callback`, or `callbacks`.
    pub callbacks: Vec<Callback>,
    /// What to compare the result with.
    pub compare: Option<Compare>,
}

/// When somebody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Criteria {
    /// `running`, `complete`, `incomplete`, `canceled`, `finished`, `all`.
    pub status: String,
    /// `regression` or `progression` against the job before.
    pub change: Option<String>,
    /// A query of LAVA's.
    pub dependency_query: Option<String>,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// `email` or `irc`.
    pub method: String,
    /// A user of the server.
    pub user: Option<String>,
    /// An address.
    pub email: Option<String>,
    /// A name on IRC.
    pub handle: Option<String>,
    /// A server of IRC.
    pub server: Option<String>,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// Where; `{FIELD}` stands for a field of the job.
    pub url: String,
    /// POST, or GET unless said.
    pub post: bool,
    /// The name of a token, or the token.
    pub token: Option<String>,
    /// The header that carries it; `Authorization` unless said.
    pub header: Option<String>,
    /// `minimal`, `logs`, `results`, `all`.
    pub dataset: Option<String>,
    /// JSON, or urlencoded unless said.
    pub json: bool,
}

/// What a result is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// Cases that do not count.
    pub blacklist: Vec<String>,
    /// A query of LAVA's, as JSON.
    pub query: Option<serde_json::Value>,
}

/// Reads `notify`, whose shape has been checked.
pub(crate) fn read(node: &Node) -> Option<Notify> {
    let text = |node: &Node, key: &str| node.get(key)?.as_str().map(str::to_owned);
    let criteria = node.get("criteria")?;
    let list = |key: &str| node.get(key).and_then(Node::as_seq).unwrap_or_default();
    let recipients = list("recipients")
        .iter()
        .filter_map(|item| item.get("to"))
        .filter_map(|to| {
            Some(Recipient {
                method: text(to, "method")?,
                user: text(to, "user"),
                email: text(to, "email"),
                handle: text(to, "handle"),
                server: text(to, "server"),
            })
        })
        .collect();
    let callbacks = node
        .get("callback")
        .into_iter()
        .chain(list("callbacks"))
        .filter_map(|callback| {
            Some(Callback {
                url: text(callback, "url")?,
                post: text(callback, "method").as_deref() == Some("POST"),
                token: text(callback, "token"),
                header: text(callback, "header"),
                dataset: text(callback, "dataset"),
                json: text(callback, "content-type").as_deref() == Some("json"),
            })
        })
        .collect();
    Some(Notify {
        criteria: Criteria {
            status: text(criteria, "status")?,
            change: text(criteria, "type"),
            dependency_query: text(criteria, "dependency_query"),
        },
        verbosity: text(node, "verbosity"),
        recipients,
        callbacks,
        compare: node.get("compare").map(|compare| Compare {
            blacklist: compare.get("blacklist").map(strings).unwrap_or_default(),
            query: compare.get("query").map(Node::to_json),
        }),
    })
}
