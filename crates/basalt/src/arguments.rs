//! The command line. `--help` is where the verbs are taught.

/// One of the words of a set, so that help, completions and refusals name them all.
macro_rules! words {
    ($words:ty) => {
        PossibleValuesParser::new(<$words>::ALL.iter().map(|word| word.as_str()))
            .try_map(|word| word.parse::<$words>())
    };
}

mod accounts;
mod remote;
mod serving;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use accounts::*;
pub use remote::*;
pub use serving::*;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Green.on_default());

/// Over the options that every verb has, so that they do not stand among its own.
const EVERYWHERE: &str = "Options of every verb";

/// Runs realtime Linux jobs on boards: switches their power, talks to their consoles, boots their
/// kernels over the network, measures their latencies and keeps every byte and number.
#[derive(Debug, Parser)]
#[command(
    name = "basalt",
    version,
    styles = STYLES,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
A first time through:
  basalt lab check lab/                            are the lab's files right?
  basalt power read qemu-1 --lab lab/              does the relay answer?
  basalt console qemu-1 --lab lab/                 what does the board say?
  basalt check job.yaml                            is the job right?
  basalt run job.yaml --lab lab/ --board qemu-1    run it

A lab for many:
  basalt serve --lab lab/                          server, pages, queue, boards of this host
  basalt submit job.yaml --follow                  queue it, see its log, leave with its outcome
  basalt why 17                                    what does it wait for?

Exit codes: 0 done; 1 done, and the answer is no; 64 command line, job or lab refused; 69 the server
cannot be reached; 74 the host does not let it; 75 somebody else has the board. `basalt run` and
`basalt submit` have more: see their --help.

Environment: BASALT_LAB and BASALT_STATE stand for --lab and --state; NO_COLOR turns colours off;
RUST_LOG (as `debug` or `basalt_console=debug`) says more on standard error."
)]
pub struct Arguments {
    /// Where this host keeps what it knows of the lab: locks, downloads, captured consoles
    /// [default: /var/lib/basalt/LAB for root, else ~/.local/state/basalt/LAB]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "BASALT_STATE",
        hide_env = true,
        help_heading = EVERYWHERE
    )]
    pub state: Option<PathBuf>,
    /// When to use colours
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = EVERYWHERE
    )]
    pub color: ColorChoice,
    #[command(subcommand)]
    pub verb: Verb,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    Serve(ServeArguments),
    Dispatch(DispatchArguments),
    Config(ConfigArguments),
    Submit(SubmitArguments),
    Jobs(JobsArguments),
    Job(JobArguments),
    Logs(LogsArguments),
    Results(ResultsArguments),
    Latency(LatencyArguments),
    Why(WhyArguments),
    Wait(WaitArguments),
    Cancel(CancelArguments),
    Resubmit(ResubmitArguments),
    Boards(BoardsArguments),
    Maintenance(MaintenanceArguments),
    Dispatchers(DispatchersArguments),
    Tokens(TokensArguments),
    Users(UsersArguments),
    Login(LoginArguments),
    LoginLink(LoginLinkArguments),
    Run(RunArguments),
    Check(CheckArguments),
    Plan(PlanArguments),
    Lab(LabArguments),
    Power(PowerArguments),
    Console(ConsoleArguments),
    Keeper(KeeperArguments),
    Completions(CompletionsArguments),
    #[command(hide = true)]
    InSession(InSessionArguments),
}

/// The lab's directory.
#[derive(Clone, Debug, Args)]
pub struct LabArgument {
    /// The lab's directory: lab.yaml, relays/, boards/, device-types/ [else BASALT_LAB]
    #[arg(long, value_name = "DIR", env = "BASALT_LAB", hide_env = true)]
    pub lab: PathBuf,
}

/// Run a job on a board
///
/// Reads the job and the lab, takes the board, fetches what the job names, switches the board on,
/// boots it, runs the tests, measures, and switches the board off, whatever happens. Shows all of
/// it live, then the table, the histograms and where the results are.
///
/// What was interrupted is gone on with: the same command again, or `--resume`, finds the
/// unfinished run and finishes it. Ctrl-C cancels: the board is switched off and the results so
/// far are written. A second Ctrl-C ends at once and leaves the board as it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt run realtime.yaml --lab lab/ --board qemu-1
  basalt run realtime.yaml --lab lab/ --board qemu-1 --output results/ --quiet
  basalt run --resume basalt-results/qemu-1-realtime-arm64-rt-7

Exit codes:
   0  pass: everything that was asked for was measured and is good
   1  fail: something that was measured or tested is bad
   2  invalid: a measurement proves nothing
   3  incomplete: the job did not reach its end; one sentence says whose fault it was
   4  canceled
  64  the command line, the job or the lab is refused; nothing was touched
  74  the host does not let it: files, sockets
  75  somebody else has the board; try again later
 130  ended at once by a second Ctrl-C (143: by a second SIGTERM)")]
pub struct RunArguments {
    /// The job's file
    #[arg(value_name = "JOB", required_unless_present = "resume")]
    pub job: Option<PathBuf>,
    /// The lab's directory: lab.yaml, relays/, boards/, device-types/ [else BASALT_LAB]
    #[arg(
        long,
        value_name = "DIR",
        env = "BASALT_LAB",
        hide_env = true,
        required_unless_present = "resume"
    )]
    pub lab: Option<PathBuf>,
    /// The board, by its name in the lab
    #[arg(long, value_name = "NAME", required_unless_present = "resume")]
    pub board: Option<String>,
    /// Where the results go; made if missing [default: basalt-results/BOARD-JOB-NUMBER]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub output: Option<PathBuf>,
    /// Go on with the unfinished run in this directory; it knows its lab, board and job
    #[arg(long, value_name = "DIR", conflicts_with_all = ["job", "board"])]
    pub resume: Option<PathBuf>,
    /// Write the run's events to standard output, a JSON object a line, and nothing else
    #[arg(long)]
    pub json: bool,
    /// Leave out what the board says on its console
    #[arg(long, short)]
    pub quiet: bool,
}

/// Check job files without running them
///
/// Reports every mistake of every file at once, each with its line and column. Nothing is fetched
/// and no board is asked; whether a certain board can run the job, `basalt plan` says.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  basalt check jobs/*.yaml

Exit codes: 0 all can be read (warnings are shown), 1 at least one cannot, 64 command line.")]
pub struct CheckArguments {
    /// Job files
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Refuse what LAVA's strict schema refuses: keys that nobody knows are errors then
    #[arg(long)]
    pub strict: bool,
    /// Write the mistakes to standard output as a JSON list of severity, message, hint, file, line
    /// and column
    #[arg(long)]
    pub json: bool,
}

/// Show what a job would do on a board
///
/// Plans the job against the board and shows the blocks, time-outs, commands and measurements as
/// they would be run. What stands in {BRACES} is filled in while the job runs. Touches nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  basalt plan realtime.yaml --lab lab/ --board qemu-1

Exit codes: 0 the job can run on this board, 1 it cannot and why, 64 command line.")]
pub struct PlanArguments {
    /// The job's file
    #[arg(value_name = "JOB")]
    pub job: PathBuf,
    #[command(flatten)]
    pub lab: LabArgument,
    /// The board, by its name in the lab
    #[arg(long, value_name = "NAME")]
    pub board: String,
    /// Write the whole plan to standard output as JSON, as it is kept in plan.json
    #[arg(long)]
    pub json: bool,
}

/// Show the results of a job or of a run's directory
///
/// Of a job's number, every case of its last run, as the server has them. Of a run's directory
/// (`basalt run`), the table, the histograms, the evidence and the times from its results.json; an
/// unfinished run is shown as far as it came.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt results 17
  basalt results basalt-results/qemu-1-realtime-arm64-rt-7

Exit codes: 0 shown (whatever the outcome), 64 neither a job nor a run's directory, 69 the server
cannot be reached.")]
pub struct ResultsArguments {
    /// A job's number, or a run's directory; several directories are compared
    #[arg(value_name = "ID|DIR", required = true)]
    pub runs: Vec<PathBuf>,
    #[command(flatten)]
    pub server: ServerArgument,
}

/// Look after the lab's files
#[derive(Debug, Args)]
pub struct LabArguments {
    #[command(subcommand)]
    pub verb: LabVerb,
}

#[derive(Debug, Subcommand)]
pub enum LabVerb {
    Check(LabCheckArguments),
    Diff(LabDiffArguments),
    Apply(LabApplyArguments),
    Lava(LavaArguments),
}

/// Check the files of a lab
///
/// Reads lab.yaml, relays/, boards/ and device-types/ and reports every mistake at once, each with
/// its line and column: unknown keys, types that do not exist, outlets and ports that two boards
/// share. When all is right, shows what the lab consists of. Asks no hardware.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  basalt lab check lab/

Exit codes: 0 the lab is right (warnings are shown), 1 it is not, 64 command line.")]
pub struct LabCheckArguments {
    /// The lab's directory [else BASALT_LAB]
    #[arg(value_name = "DIR", env = "BASALT_LAB", hide_env = true)]
    pub directory: PathBuf,
    /// Write the mistakes to standard output as a JSON list of severity, message, hint, file, line
    /// and column
    #[arg(long)]
    pub json: bool,
}

/// Work with the files of a LAVA lab
#[derive(Debug, Args)]
pub struct LavaArguments {
    #[command(subcommand)]
    pub verb: LavaVerb,
}

#[derive(Debug, Subcommand)]
pub enum LavaVerb {
    Render(LavaRenderArguments),
}

/// Render a device type or a device dictionary of LAVA
///
/// Writes the text alone, byte for byte as LAVA's Jinja2 does. Needs no lab and no server.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt lab lava render --types /usr/share/lava-server/device-types juno-uboot
  basalt lab lava render --types types/ --dictionary devices/juno-01.jinja2 \\
    --context '{\"extra_kernel_args\": \"quiet\"}'

Exit codes: 0 rendered, 1 the templates have a mistake, 64 command line.")]
pub struct LavaRenderArguments {
    /// A directory of *.jinja2 device types; of several, the first that has a name counts
    #[arg(long, value_name = "DIR", required = true)]
    pub types: Vec<PathBuf>,
    /// The device dictionary to render
    #[arg(long, value_name = "FILE", conflicts_with = "device_type")]
    pub dictionary: Option<PathBuf>,
    /// Variables of a job's context: a JSON object, or a file that holds one
    #[arg(long, value_name = "JSON")]
    pub context: Option<String>,
    /// The device type to render, with or without .jinja2
    #[arg(value_name = "TYPE", required_unless_present = "dictionary")]
    pub device_type: Option<String>,
}

/// Switch a board's power, or read it
///
/// `on`, `off` and `cycle` take the board first and are refused while a run or a person has it,
/// with the holder's name. The relay is read back afterwards; one that cannot be read is said to be
/// `unknown`. `read` always works and switches nothing. `cycle` cannot be interrupted: a board is
/// never left off half-way.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt power read qemu-1 --lab lab/
  basalt power cycle qemu-1 --lab lab/

Exit codes: 0 the relay did it, 1 the relay did not, 64 command line or lab refused, 74 the host
does not let it, 75 somebody else has the board.")]
pub struct PowerArguments {
    /// What to do
    #[arg(value_name = "WHAT")]
    pub what: PowerVerb,
    /// The board, by its name in the lab
    #[arg(value_name = "BOARD")]
    pub board: String,
    #[command(flatten)]
    pub lab: LabArgument,
}

/// What a relay can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PowerVerb {
    /// Switch on
    On,
    /// Switch off
    Off,
    /// Off, wait the board's off time, on
    Cycle,
    /// Say whether it is on
    Read,
}

/// Sit at a board's console
///
/// Shows what the board said last, then what it says. What you type goes to the board, unless a
/// run or somebody else has it: then you watch. Ctrl-] q leaves; Ctrl-] ? shows the other keys.
///
/// Escape sequences of the board that colour text or move the cursor work; those that would act on
/// your terminal (titles, clipboard, reports) are taken out. When standard output is no terminal,
/// the bytes are written exactly as the board sent them, until standard input ends or Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt console qemu-1 --lab lab/
  basalt console qemu-1 --lab lab/ --read-only --from-start | grep -a oops

Exit codes: 0 left, 64 command line or lab refused, 74 the console or its keeper cannot be had.")]
pub struct ConsoleArguments {
    /// The board, by its name in the lab
    #[arg(value_name = "BOARD")]
    pub board: String,
    #[command(flatten)]
    pub lab: LabArgument,
    /// Only watch; leaves the board to whoever wants it
    #[arg(long)]
    pub read_only: bool,
    /// Begin with the first byte that was ever captured
    #[arg(long, conflicts_with = "tail")]
    pub from_start: bool,
    /// Begin with so many bytes of what was said before
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    pub tail: u64,
}

/// Run the console keeper, the process that captures consoles always
///
/// `basalt run` and `basalt console` start one where none answers, so this is for services and for
/// whoever wants to capture boards without using them. One keeper serves a lab on a host; it goes
/// on when those who use it end or are killed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt keeper --lab lab/                 in the foreground, until Ctrl-C
  basalt keeper --lab lab/ --detach        in the background; says so in STATE/keeper.log
  basalt keeper --lab lab/ --status
  basalt keeper --lab lab/ --stop

Exit codes: 0 ended as asked, or running (--status); 1 none runs (--status); 64 command line or lab
refused; 74 the host does not let it.")]
pub struct KeeperArguments {
    /// The lab's directory; without it --state is needed, and clients say which consoles to keep
    #[arg(
        long,
        value_name = "DIR",
        env = "BASALT_LAB",
        hide_env = true,
        required_unless_present = "state"
    )]
    pub lab: Option<PathBuf>,
    /// End when nobody was connected for so long, as 10m or 90s; without it the keeper stays
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub linger: Option<Duration>,
    /// Start it in the background, in a session of its own
    #[arg(long)]
    pub detach: bool,
    /// End the keeper that runs
    #[arg(long, conflicts_with_all = ["detach", "linger"])]
    pub stop: bool,
    /// Show whether a keeper runs and how its consoles are
    #[arg(long, conflicts_with_all = ["detach", "linger", "stop"])]
    pub status: bool,
    /// With --status: as JSON
    #[arg(long, requires = "status")]
    pub json: bool,
    /// The process that --detach starts.
    #[arg(long, hide = true, conflicts_with_all = ["detach", "stop", "status"])]
    pub in_background: bool,
}

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  basalt completions bash > ~/.local/share/bash-completion/completions/basalt")]
pub struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// A job's number, also as pages and people write it: `#17`.
fn job_number(text: &str) -> Result<i64, String> {
    let number = text.strip_prefix('#').unwrap_or(text).parse();
    number
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| "a job has a whole number; `basalt jobs` shows them".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    basalt_yaml::parse_duration(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    /// The words of a command line, quotes gone.
    fn as_a_shell_does(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
        for one in line.chars() {
            match quote {
                Some(open) if open == one => quote = None,
                None if one == '"' || one == '\'' => quote = Some(one),
                None if one.is_whitespace() => words.push(std::mem::take(&mut word)),
                _ => word.push(one),
            }
        }
        words.push(word);
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn every_example_is_a_command_line_that_is_taken() {
        fn collect(command: &clap::Command, lines: &mut Vec<String>) {
            let help = command.get_after_help().map(ToString::to_string);
            // A line that goes on below is one command.
            let help = help.unwrap_or_default().replace("\\\n    ", "");
            for line in help.lines() {
                if let Some(example) = line.strip_prefix("  basalt ") {
                    lines.push(example.to_owned());
                }
            }
            for inner in command.get_subcommands() {
                collect(inner, lines);
            }
        }
        let mut lines = Vec::new();
        collect(&Arguments::command(), &mut lines);
        assert!(lines.len() > 30, "{lines:?}");
        for line in lines {
            // A remark stands apart; what the shell does with files is its own.
            let command = line.split("   ").next().unwrap();
            let command = command.split(['<', '>', '|']).next().unwrap();
            let mut words = vec!["basalt".to_owned()];
            words.extend(as_a_shell_does(command));
            if let Err(error) = Arguments::try_parse_from(&words) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn a_job_is_named_by_its_number() {
        assert_eq!(job_number("17"), Ok(17));
        assert_eq!(job_number("#17"), Ok(17));
        for wrong in ["", "0", "-3", "abc", "1.5"] {
            assert!(job_number(wrong).unwrap_err().contains("basalt jobs"));
        }
    }

    #[test]
    fn every_verb_shows_an_example() {
        fn check(command: &clap::Command) {
            if command.has_subcommands() {
                command.get_subcommands().for_each(check);
                return;
            }
            let help = command.get_after_help().map(ToString::to_string);
            assert!(
                help.is_some_and(|help| help.contains("Example")),
                "{}",
                command.get_name()
            );
        }
        Arguments::command().get_subcommands().for_each(check);
    }
}
