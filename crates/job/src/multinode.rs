//! `protocols`: jobs of several boards, and how they are split.
//!
//! Facts: LAVA 2026.10, multinode. Each board gets a copy of the job with the actions of its role,
//! and what the role says of the board in place of the job's own.

use basalt_yaml::{Diagnostics, Field, Node};

use crate::definition::{ContextValue, JobDefinition, Spanned, Timeout};
use crate::timeouts;
use crate::top;
use crate::values::{strings, variables, whole};

/// `protocols` of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Protocols {
    /// `lava-multinode`.
    pub multinode: Option<Multinode>,
    /// `lava-xnbd`.
    pub xnbd: Option<Xnbd>,
}

/// `lava-multinode`.
#[derive(Clone, Debug, PartialEq)]
pub struct Multinode {
    /// By name, in the job's order.
    pub roles: Vec<(String, Role)>,
    /// How long one message may be waited for.
    pub timeout: Option<Timeout>,
    /// Boards whose names match this are preferred as a group.
    pub pool_pattern: Option<String>,
}

/// One role.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// How many of it.
    pub count: u32,
    /// What plays it.
    pub player: Player,
    /// If one of it fails, all others are cancelled.
    pub essential: bool,
    /// Tags that the board must have.
    pub tags: Vec<String>,
    /// Template variables.
    pub context: Vec<(String, Spanned<ContextValue>)>,
    /// Variables for the board's test shell.
    pub environment: Vec<(String, String)>,
    /// How long one message may be waited for.
    pub timeout: Option<Timeout>,
}

/// What plays a role.
#[derive(Clone, Debug, PartialEq)]
pub enum Player {
    /// A board.
    Board {
        /// Its type.
        device_type: Spanned<String>,
        /// The one board.
        device: Option<Spanned<String>>,
        /// The one dispatcher.
        worker: Option<String>,
    },
    /// A session on another role's board.
    Guest {
        /// `ssh`.
        connection: String,
        /// The role whose board it runs on.
        host_role: String,
        /// The role that tells it when to start.
        expect_role: String,
        /// `lava-start`.
        request: Option<String>,
    },
}

/// `lava-xnbd`.
#[derive(Clone, Debug, PartialEq)]
pub struct Xnbd {
    /// None for `auto`.
    pub port: Option<i64>,
    /// How long the server may take.
    pub timeout: Option<Timeout>,
}

/// The job of one board of a multinode job.
#[derive(Clone, Debug, PartialEq)]
pub struct SubJob {
    /// Its place in the group, from 0: LAVA's `N.0`, `N.1`, ….
    pub index: usize,
    /// How many there are.
    pub group_size: usize,
    /// What it plays.
    pub role: String,
    /// The role on whose board it runs, where it has none of its own.
    pub host_role: Option<String>,
    /// If it fails, the others are cancelled.
    pub essential: bool,
    /// What it does. It carries the whole `protocols`.
    pub job: JobDefinition,
}

/// One job for each board and guest of a multinode job, in the order of the roles; none of a job
/// that is not multinode.
pub fn split(job: &JobDefinition) -> Vec<SubJob> {
    let Some(multinode) = &job.protocols.multinode else {
        return Vec::new();
    };
    let players = || {
        multinode
            .roles
            .iter()
            .flat_map(|(name, role)| (0..role.count).map(move |_| (name, role)))
    };
    let group_size = players().count();
    players()
        .enumerate()
        .map(|(index, (name, role))| {
            let mut own = job.clone();
            own.actions.retain(|action| action.roles.contains(name));
            own.tags.clone_from(&role.tags);
            own.context.clone_from(&role.context);
            own.environment.clone_from(&role.environment);
            let host_role = match &role.player {
                Player::Board {
                    device_type,
                    device,
                    worker,
                } => {
                    own.device_type = Some(device_type.clone());
                    own.device.clone_from(device);
                    own.worker.clone_from(worker);
                    None
                }
                Player::Guest { host_role, .. } => Some(host_role.clone()),
            };
            SubJob {
                index,
                group_size,
                role: name.clone(),
                host_role,
                essential: role.essential,
                job: own,
            }
        })
        .collect()
}

/// The most boards of one role: what is larger is a mistake, and would be that many jobs.
const MOST: u32 = 1000;

/// Reads `protocols`, whose shape has been checked.
pub(crate) fn read(node: &Node, found: &mut Diagnostics) -> Protocols {
    let multinode = node.get("lava-multinode").map(|node| Multinode {
        roles: node
            .get("roles")
            .and_then(Node::as_map)
            .unwrap_or_default()
            .iter()
            .filter_map(|(name, role)| Some((name.as_str()?.to_owned(), read_role(role, found)?)))
            .collect(),
        timeout: timeouts::under(node, "timeout"),
        pool_pattern: text(node, "pool_pattern"),
    });
    let xnbd = node.get("lava-xnbd").map(|node| Xnbd {
        port: node.get("port").and_then(whole),
        timeout: timeouts::under(node, "timeout"),
    });
    Protocols { multinode, xnbd }
}

fn read_role(node: &Node, found: &mut Diagnostics) -> Option<Role> {
    let player = match text(node, "connection").filter(|_| node.get("device_type").is_none()) {
        Some(connection) => Player::Guest {
            connection,
            host_role: text(node, "host_role")?,
            expect_role: text(node, "expect_role")?,
            request: text(node, "request"),
        },
        None => Player::Board {
            device_type: spanned(node, "device_type")?,
            device: spanned(node, "device"),
            worker: text(node, "worker"),
        },
    };
    let count = node.get("count")?;
    let number = whole(count)
        .and_then(|count| u32::try_from(count).ok())
        .filter(|count| *count <= MOST);
    if number.is_none() {
        let message = format!(
            "`count` must be a whole number from 0 to {MOST}, found {}",
            count.describe()
        );
        found.error(count.span, message);
    }
    let environment = node
        .get("environment")
        .and_then(|node| variables(Field::new(node, "`environment`", found), "`environment`"))
        .unwrap_or_default();
    Some(Role {
        count: number.unwrap_or(0),
        player,
        essential: matches!(
            node.get("essential").map(Node::value),
            Some(basalt_yaml::Value::Bool(true))
        ),
        tags: node.get("tags").map(strings).unwrap_or_default(),
        context: top::context(node.get("context"), found),
        environment,
        timeout: timeouts::under(node, "timeout"),
    })
}

fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key)?.as_str().map(str::to_owned)
}

fn spanned(node: &Node, key: &str) -> Option<Spanned<String>> {
    let node = node.get(key)?;
    Some(Spanned {
        value: node.as_str()?.to_owned(),
        span: node.span,
    })
}
