//! The verbs that talk to a server: what they take, and their help.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};

/// Which server.
#[derive(Clone, Debug, Args)]
pub struct ServerArgument {
    /// The server's address, as http://127.0.0.1:7270 [else BASALT_SERVER, else the login]
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Write what the server says to standard output as JSON, and nothing else
    #[arg(long, global = true)]
    pub json: bool,
}

/// Make a server and a token known to this account
///
/// Asks the server who the token belongs to and keeps both in ~/.config/basalt/client.json, which
/// only its owner can read. The first start of `basalt serve` does this for its own user. Scripts
/// and CI set BASALT_SERVER and BASALT_TOKEN instead.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt login http://127.0.0.1:7270 < token.txt
  basalt login https://lab.example:7270 --token-file token.txt
  basalt login --show

Exit codes: 0 known, 64 refused (the token is wrong, the address is none), 69 the server cannot be
reached.")]
pub struct LoginArguments {
    /// The server's address
    #[arg(value_name = "URL", required_unless_present = "show")]
    pub url: Option<String>,
    /// A file with the token [default: standard input]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// SHA-256 of the server's certificate, for a server that signed its own; it prints it at start
    #[arg(long, value_name = "DIGEST")]
    pub certificate: Option<String>,
    /// Show which server and account are known
    #[arg(long, conflicts_with_all = ["url", "token_file", "certificate"])]
    pub show: bool,
    /// With --show: as JSON
    #[arg(long, requires = "show")]
    pub json: bool,
}

/// Submit a job to the lab
///
/// The server checks the job against the boards that could run it and refuses it with every
/// mistake at its line, or queues it and gives it a number. The same file submitted again is
/// another job; an answer that was lost on the way is asked for again under the same key, so that
/// no job is doubled.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt submit realtime.yaml
  basalt submit realtime.yaml --follow          its log, then what it came to
  basalt submit realtime.yaml --wait --json     for CI: waits, then prints the job

Exit codes: 0 submitted; 64 refused; 69 the server cannot be reached. With --follow or --wait:
0 pass, 1 fail, 2 invalid, 3 incomplete, 4 canceled, 130 left by Ctrl-C; the job goes on.")]
pub struct SubmitArguments {
    /// The job's file; `-` for standard input
    #[arg(value_name = "JOB")]
    pub job: PathBuf,
    /// Show the job's log while it runs, wait for its end, show what it came to
    #[arg(long, short)]
    pub follow: bool,
    /// Wait for its end, show what it came to
    #[arg(long, conflicts_with = "follow")]
    pub wait: bool,
    /// Check it only; nothing is queued
    #[arg(long, conflicts_with_all = ["follow", "wait"])]
    pub dry_run: bool,
    /// A word that makes this submission one: the same word again gives the same job
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    #[command(flatten)]
    pub server: ServerArgument,
}

/// List jobs
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt jobs
  basalt jobs --in-state running --board qemu-1
  basalt jobs --mine --outcome fail --limit 100 --json

Exit codes: 0 listed, 64 refused, 69 the server cannot be reached.")]
pub struct JobsArguments {
    /// Only those in these states, joined by commas: queued, active, or submitted, scheduling,
    /// scheduled, running, canceling, finished
    #[arg(long, value_name = "STATE")]
    pub in_state: Option<String>,
    /// Only those that came to this
    #[arg(long, value_name = "OUTCOME", value_parser = words!(basalt_model::Outcome))]
    pub outcome: Option<basalt_model::Outcome>,
    /// Only those that ran on this board
    #[arg(long, value_name = "NAME")]
    pub board: Option<String>,
    /// Only your own
    #[arg(long)]
    pub mine: bool,
    /// Only those whose name holds this
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// How many at most, the newest first
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub limit: u32,
    #[command(flatten)]
    pub server: ServerArgument,
}

/// Show a job: where it stands, its steps, what it came to
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  basalt job 17

Exit codes: 0 shown (whatever the outcome), 64 there is no such job, 69 the server cannot be
reached.")]
pub struct JobArguments {
    /// The job's number
    #[arg(value_name = "ID", value_parser = super::job_number)]
    pub job: i64,
    #[command(flatten)]
    pub server: ServerArgument,
}

/// Wait for a job's end
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  basalt wait 17 --timeout 30m

Exit codes: 0 pass, 1 fail, 2 invalid, 3 incomplete, 4 canceled, 64 there is no such job, 69 the
server cannot be reached, 75 the time-out came first, 130 left by Ctrl-C; the job goes on.")]
pub struct WaitArguments {
    /// The job's number
    #[arg(value_name = "ID", value_parser = super::job_number)]
    pub job: i64,
    /// Give up after so long, as 30m or 90s; the job goes on
    #[arg(long, value_name = "TIME", value_parser = super::duration)]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    pub server: ServerArgument,
}

/// Show a job's log
///
/// What the board said and what Basalt did about it, in order, with times: of the job's last run,
/// with --follow also of those that come. Escape sequences of the board never reach the terminal;
/// `--console` writes the board's bytes exactly as they came when standard output is no terminal.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt logs 17
  basalt logs 17 --follow
  basalt logs 17 --level warning
  basalt logs 17 --console > console.bin

Exit codes: 0 shown (whatever the outcome), 64 there is no such job or it has no log yet (--follow
waits for it), 69 the server cannot be reached, 130 left by Ctrl-C; the job goes on.")]
pub struct LogsArguments {
    /// The job's number
    #[arg(value_name = "ID", value_parser = super::job_number)]
    pub job: i64,
    /// Go on until the job's end
    #[arg(long, short)]
    pub follow: bool,
    /// Only what the board said, nothing of ours
    #[arg(long)]
    pub console: bool,
    /// Begin with this line
    #[arg(long, value_name = "LINE", default_value_t = 1)]
    pub from: u64,
    /// Only lines of at least this weight: debug, info, warning, error
    #[arg(long, value_name = "LEVEL", conflicts_with_all = ["console", "follow"])]
    pub level: Option<String>,
    /// Only lines that hold this
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["console", "follow"])]
    pub search: Option<String>,
    #[command(flatten)]
    pub server: ServerArgument,
}

/// Show a job's latencies: the table, the histograms, the evidence
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  basalt latency 17

Exit codes: 0 shown, 64 there is no such job, 69 the server cannot be reached.")]
pub struct LatencyArguments {
    /// The job's number
    #[arg(value_name = "ID", value_parser = super::job_number)]
    pub job: i64,
    #[command(flatten)]
    pub server: ServerArgument,
}

/// List the lab's boards: what each is doing, its health, its power
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt boards
  basalt boards --json

Exit codes: 0 listed, 64 refused, 69 the server cannot be reached.")]
pub struct BoardsArguments {
    #[command(flatten)]
    pub server: ServerArgument,
}

/// Say why a job waits
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  basalt why 17

Exit codes: 0 said, 64 there is no such job, 69 the server cannot be reached.")]
pub struct WhyArguments {
    /// The job's number
    #[arg(value_name = "ID", value_parser = super::job_number)]
    pub job: i64,
    #[command(flatten)]
    pub server: ServerArgument,
}

/// End jobs before their time
///
/// A job that waits is finished at once; one that runs is ended on its board, which is switched
/// off.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  basalt cancel 17 18

Exit codes: 0 asked for, 64 refused, 69 the server cannot be reached.")]
pub struct CancelArguments {
    /// The jobs' numbers
    #[arg(value_name = "ID", required = true, value_parser = super::job_number)]
    pub jobs: Vec<i64>,
    /// Why, for whoever wonders
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub server: ServerArgument,
}

/// Submit a job again as it was
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  basalt resubmit 17

Exit codes: 0 submitted, 64 refused, 69 the server cannot be reached.")]
pub struct ResubmitArguments {
    /// The job's number
    #[arg(value_name = "ID", value_parser = super::job_number)]
    pub job: i64,
    #[command(flatten)]
    pub server: ServerArgument,
}

/// What to do about a board's service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Service {
    /// Take it out of service: it gets no more jobs
    On,
    /// Bring it back
    Off,
}

/// Take a board out of service, or bring it back
///
/// A board in maintenance gets no jobs; the one that runs there goes on to its end. No job ever
/// changes it back.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt maintenance qemu-1 on --reason \"fan broken\"
  basalt maintenance qemu-1 off

Exit codes: 0 done, 64 refused, 69 the server cannot be reached.")]
pub struct MaintenanceArguments {
    /// The board
    #[arg(value_name = "BOARD")]
    pub board: String,
    /// Whether it is in maintenance from now on
    #[arg(value_name = "ON|OFF")]
    pub service: Service,
    /// Why, for whoever wonders
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    #[command(flatten)]
    pub server: ServerArgument,
}

/// Show the dispatchers, or let another one in
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt dispatchers
  basalt dispatchers add rack-2 --token-file rack-2.token
  basalt dispatch --server https://lab.example:7270 --token-file rack-2.token   (on the other host)
  basalt dispatchers mode rack-2 maintenance

Exit codes: 0 done, 64 refused, 69 the server cannot be reached.")]
pub struct DispatchersArguments {
    #[command(subcommand)]
    pub verb: Option<DispatchersVerb>,
    #[command(flatten)]
    pub server: ServerArgument,
}

#[derive(Debug, Subcommand)]
pub enum DispatchersVerb {
    /// Make a token with which a dispatcher of the lab's files can connect
    ///
    /// A token that was made for it before ends. The file holds the server's certificate too where
    /// the server signed its own, so make it while the server speaks TLS as it will.
    #[command(after_help = "\
Example:
  basalt dispatchers add rack-2 --token-file rack-2.token

Exit codes: 0 made; 64 refused, or the file is there already; 69 the server cannot be reached.")]
    Add {
        /// Its name in the lab's files
        name: String,
        /// Write it to this new file, readable by its owner only [default: standard output]
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
    /// Say whether a dispatcher gets new runs
    #[command(after_help = "\
Example:
  basalt dispatchers mode rack-2 maintenance --reason 'new power supply'")]
    Mode {
        /// Its name
        name: String,
        /// Whether it gets new runs; those that it has go on
        #[arg(value_parser = words!(basalt_model::DispatcherMode))]
        mode: basalt_model::DispatcherMode,
        /// Why, for whoever wonders
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

/// Print a link that logs a browser in
///
/// The link works once and for a short time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt login-link
  basalt login-link --user ann

Exit codes: 0 printed, 64 refused, 69 the server cannot be reached.")]
pub struct LoginLinkArguments {
    /// Whose; administrators only [default: your own]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    #[command(flatten)]
    pub server: ServerArgument,
}

/// Show what applying a lab's directory would change
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  basalt lab diff lab/

Exit codes: 0 nothing would change, 1 something would, 64 refused, 69 the server cannot be reached.")]
pub struct LabDiffArguments {
    /// The lab's directory [else BASALT_LAB]
    #[arg(value_name = "DIR", env = "BASALT_LAB", hide_env = true)]
    pub directory: PathBuf,
    #[command(flatten)]
    pub server: ServerArgument,
}

/// Put a lab's directory into force
///
/// Shows the plan, then applies it. Only what changed is touched, and nothing is restarted.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  basalt lab apply lab/

Exit codes: 0 in force, 64 refused, 69 the server cannot be reached.")]
pub struct LabApplyArguments {
    /// The lab's directory [else BASALT_LAB]
    #[arg(value_name = "DIR", env = "BASALT_LAB", hide_env = true)]
    pub directory: PathBuf,
    #[command(flatten)]
    pub server: ServerArgument,
}
