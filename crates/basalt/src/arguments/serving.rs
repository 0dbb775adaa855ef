//! The verbs that serve: what they take, and their help.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::signals::StopHow;

/// Serve a lab: the pages, the API, the queue, and the boards of this host
///
/// Starts the server and, beside it, the dispatcher that has the boards of this host; the
/// dispatcher starts the console keeper. All of them end with it: Ctrl-C (or SIGTERM) takes no more
/// jobs, ends the runs, puts them back into the queue and switches their boards off. A second one
/// ends everything at once and leaves the boards as they are.
///
/// `--on-stop drain` lets the runs finish first, however long they take; a second signal ends them.
/// `--on-stop detach` ends the server alone, for an upgrade: dispatcher, boards and runs go on, and
/// the next start finds them. SIGUSR1 drains whatever was said.
///
/// The first start makes an administrator, prints a link that logs a browser in once, and lets the
/// other verbs of this account in. Nobody else can come in before, and by default only this host.
///
/// What is killed is found again: a dispatcher goes on without its server, and the next start of
/// the server finds it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt serve --lab lab/
  basalt serve --lab lab/ --listen 0.0.0.0:7270 --tls self-signed
  basalt serve --config /etc/basalt/server.yaml
  basalt serve --lab lab/ --on-stop drain    stop when what runs has finished
  basalt config example > server.yaml        every setting, explained

Every setting can stand in the file, in the environment (BASALT_LISTEN and so on) and, if it is
here, on the command line; the latter comes first. `basalt config check` shows what holds.

Exit codes: 0 ended as asked; 64 command line, settings or lab refused; 74 the host does not let it;
75 another server serves this lab here; 130 ended at once by a second Ctrl-C (143: by a second
SIGTERM).")]
pub struct ServeArguments {
    #[command(flatten)]
    pub settings: ServerSettings,
    /// What Ctrl-C and SIGTERM do [else BASALT_ON_STOP]
    #[arg(
        long,
        value_name = "HOW",
        env = "BASALT_ON_STOP",
        hide_env = true,
        default_value = "end"
    )]
    pub on_stop: StopHow,
}

/// The settings of a server that the command line can give.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerSettings {
    /// The settings' file [else BASALT_CONFIG, else /etc/basalt/server.yaml for root or
    /// ~/.config/basalt/server.yaml, where it is]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The lab's directory: lab.yaml, relays/, boards/, device-types/
    #[arg(long, value_name = "DIR")]
    pub lab: Option<PathBuf>,
    /// Where to listen; may be given several times [default: 127.0.0.1:7270]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Vec<String>,
    /// sqlite:///FILE or postgres://… [default: SQLite in the state directory]
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// Where logs and files of runs are kept [default: in the state directory]
    #[arg(long, value_name = "DIR")]
    pub objects: Option<PathBuf>,
    /// The address that people use [default: where it listens]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// How TLS is spoken: off, self-signed, files, or proxy (another program in front does)
    #[arg(long, value_name = "HOW")]
    pub tls: Option<String>,
    /// The certificate, and those that signed it, in PEM
    #[arg(long, value_name = "FILE")]
    pub tls_certificate: Option<PathBuf>,
    /// Its key in PEM, readable by its owner only
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Start no dispatcher beside the server
    #[arg(long)]
    pub no_dispatcher: bool,
    /// Start the dispatcher by this command, as `ip netns exec rack`; words end at spaces
    #[arg(long, value_name = "COMMAND", conflicts_with = "no_dispatcher")]
    pub dispatcher_start_with: Option<String>,
}

/// Serve the boards of a rack for a server
///
/// Switches relays, serves kernels and reads consoles of the boards that the lab gives this
/// dispatcher, for the server that it dials; the server needs no way to this host. `basalt serve`
/// starts one beside itself, so this is for further racks: make the token with `basalt dispatchers
/// add NAME`, and name the dispatcher in the lab's files.
///
/// Ctrl-C ends the runs, gives their jobs back and switches their boards off. SIGTERM lets the
/// boards go on: the next start goes on with the runs where they are then. SIGUSR1 lets the runs
/// finish first and takes no new ones. `--on-stop` has Ctrl-C and SIGTERM both do the same.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt dispatch --server https://lab.example:7270 --token-file rack-2.json
  basalt dispatch --server https://lab.example:7270 --token-file rack-2.json --on-stop drain

A server that does not let it in (a wrong token, a name that the lab does not have) ends it at the
first connection; one that let it in before is tried again until it does.

Exit codes: 0 ended as asked; 64 command line or token file refused; 74 the host does not let it; 75
another dispatcher runs at this state directory; 77 the server does not let it in; 130 ended at once
by a second Ctrl-C (143: by a second SIGTERM).")]
pub struct DispatchArguments {
    /// The server: https://HOST:PORT, on this host also http://127.0.0.1:PORT or unix:/PATH
    /// [else BASALT_SERVER]
    #[arg(long, value_name = "URL", env = "BASALT_SERVER", hide_env = true)]
    pub server: String,
    /// The dispatcher's name and token, as `basalt dispatchers add` gave them; readable by its owner
    /// only
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,
    /// Believe servers that these authorities signed, in PEM [default: the host's]
    #[arg(long, value_name = "FILE")]
    pub authorities: Option<PathBuf>,
    /// What Ctrl-C and SIGTERM do [default: Ctrl-C ends the runs, SIGTERM detaches]
    #[arg(long, value_name = "HOW")]
    pub on_stop: Option<StopHow>,
}

/// Look after the server's settings
#[derive(Debug, Args)]
pub struct ConfigArguments {
    #[command(subcommand)]
    pub verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    Check(Box<ConfigCheckArguments>),
    Example(ConfigExampleArguments),
}

/// Check the settings that `basalt serve` would have
///
/// Reads the file, the environment and the command line as `basalt serve` does, reports every
/// mistake at once, and shows every setting with where it comes from. Starts nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt config check
  basalt config check --config /etc/basalt/server.yaml

Exit codes: 0 they hold, 1 they do not, 64 command line.")]
pub struct ConfigCheckArguments {
    #[command(flatten)]
    pub settings: ServerSettings,
    /// Write the mistakes to standard output as a JSON list of severity, message, hint, file, line
    /// and column
    #[arg(long)]
    pub json: bool,
}

/// Print a settings file with every setting explained
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  basalt config example > /etc/basalt/server.yaml")]
pub struct ConfigExampleArguments {}

/// Runs a command in a session of its own, its output in a log.
#[derive(Debug, Args)]
#[command(after_help = "Example: started by `basalt serve`, never by people.")]
pub struct InSessionArguments {
    /// Where its output goes.
    #[arg(long, value_name = "FILE")]
    pub log: PathBuf,
    /// The command.
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub command: Vec<std::ffi::OsString>,
}
