//! Other programs: started, bounded in time, and quoted when they fail.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// Pipes end with their process, unless it left a child behind that holds them.
const GRACE: Duration = Duration::from_secs(5);

/// Runs `command` to its end with no standard input and returns what it wrote to standard output.
///
/// Errors name the command and carry the last lines that it wrote to standard error. A command that
/// takes longer than `limit` is killed.
pub fn run(command: &mut Command, limit: Duration) -> Result<String> {
    finish(command.stdin(Stdio::null()), limit)
}

/// [`run`] with this standard input.
pub fn run_with_input(command: &mut Command, input: Stdio, limit: Duration) -> Result<String> {
    finish(command.stdin(input), limit)
}

/// [`run`] with standard output going to a file, byte for byte.
pub fn run_into(command: &mut Command, output: std::fs::File, limit: Duration) -> Result<()> {
    let name = name_of(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} cannot be started"))?;
    let errors = drain(child.stderr.take());
    let status = wait_or_kill(&mut child, &name, limit)?;
    let errors = errors.recv_timeout(GRACE).unwrap_or_default();
    if !status.success() {
        bail!("{name} failed ({status}){}", tail(&errors, &[]));
    }
    Ok(())
}

/// Waits for the end of `child`, which is killed at its limit.
fn wait_or_kill(child: &mut Child, name: &str, limit: Duration) -> Result<ExitStatus> {
    if let Some(status) = wait(child, limit)? {
        return Ok(status);
    }
    child.kill().with_context(|| format!("killing {name}"))?;
    child
        .wait()
        .with_context(|| format!("waiting for {name}"))?;
    bail!(
        "{name} did not end within {} s and was killed",
        limit.as_secs()
    );
}

/// [`run`] with whatever standard input the command has been given.
fn finish(command: &mut Command, limit: Duration) -> Result<String> {
    let name = name_of(command);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} cannot be started"))?;
    let output = drain(child.stdout.take());
    let errors = drain(child.stderr.take());
    let status = wait_or_kill(&mut child, &name, limit)?;
    let output = output.recv_timeout(GRACE).unwrap_or_default();
    let errors = errors.recv_timeout(GRACE).unwrap_or_default();
    if !status.success() {
        bail!("{name} failed ({status}){}", tail(&errors, &output));
    }
    Ok(String::from_utf8_lossy(&output).into_owned())
}

/// Runs `command` with no standard input and passes on what it writes, line by line, to our own
/// standard output and to `seen`. A command that takes longer than `limit` is killed with all its
/// descendants.
pub fn stream(
    command: &mut Command,
    limit: Duration,
    seen: &mut dyn FnMut(&str),
) -> Result<ExitStatus> {
    let name = name_of(command);
    // One pipe for both streams keeps their lines in order.
    let (reader, writer) = std::io::pipe().context("making a pipe")?;
    let errors = writer.try_clone().context("making a pipe")?;
    command.stdin(Stdio::null()).stdout(writer).stderr(errors);
    let mut child = command
        .spawn()
        .with_context(|| format!("{name} cannot be started"))?;
    // The command holds the pipe's writing ends; as long as it lives, the pipe does not end.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .is_ok_and(|count| count > 0)
        {
            let text = String::from_utf8_lossy(&line)
                .trim_end_matches('\n')
                .to_owned();
            if sender.send(text).is_err() {
                break;
            }
            line.clear();
        }
    });
    let deadline = Instant::now() + limit;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                println!("{line}");
                seen(&line);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                kill_tree(&mut child).with_context(|| format!("killing {name}"))?;
                bail!(
                    "{name} did not end within {} s and was killed",
                    limit.as_secs()
                );
            }
        }
    }
    let left = deadline.saturating_duration_since(Instant::now());
    match wait(&mut child, left.max(Duration::from_secs(1)))? {
        Some(status) => Ok(status),
        None => {
            kill_tree(&mut child).with_context(|| format!("killing {name}"))?;
            bail!(
                "{name} closed its output but did not end within {} s",
                limit.as_secs()
            );
        }
    }
}

/// Kills a child and everything below it: cargo's own death would leave its tests running.
fn kill_tree(child: &mut Child) -> Result<()> {
    let mut pids = vec![Pid::from_child(child)];
    let mut next = 0;
    while let Some(pid) = pids.get(next) {
        pids.extend(children_of(*pid));
        next += 1;
    }
    for pid in pids {
        // One that has ended meanwhile needs no signal.
        if let Err(error) = kill_process(pid, Signal::KILL)
            && error != rustix::io::Errno::SRCH
        {
            return Err(error.into());
        }
    }
    child
        .wait()
        .context("reading a killed child's exit status")?;
    Ok(())
}

/// The processes that `pid` started and that still run, from `/proc/PID/task/TID/children`
/// (proc(5); every thread has its own).
fn children_of(pid: Pid) -> Vec<Pid> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    threads
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|listed| {
            listed
                .split_whitespace()
                .filter_map(|word| Pid::from_raw(word.parse().ok()?))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Runs `first | second`; both must succeed.
pub fn pipe(first: &mut Command, second: &mut Command, limit: Duration) -> Result<()> {
    let started = Instant::now();
    let first_name = name_of(first);
    let mut writer = first
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{first_name} cannot be started"))?;
    let stream = writer
        .stdout
        .take()
        .context("the pipe of a child that was started with one")?;
    let writer_errors = drain(writer.stderr.take());
    let result = finish(second.stdin(Stdio::from(stream)), limit);
    let left = limit.saturating_sub(started.elapsed());
    let status = wait(&mut writer, left.max(Duration::from_secs(1)))?;
    let Some(status) = status else {
        writer
            .kill()
            .with_context(|| format!("killing {first_name}"))?;
        writer
            .wait()
            .with_context(|| format!("waiting for {first_name}"))?;
        bail!(
            "{first_name} did not end within {} s and was killed",
            limit.as_secs()
        );
    };
    result?;
    if !status.success() {
        let errors = writer_errors
            .recv_timeout(Duration::from_secs(5))
            .unwrap_or_default();
        bail!("{first_name} failed ({status}){}", tail(&errors, &[]));
    }
    Ok(())
}

/// Waits for the end of `child`; `None` when `limit` passed first.
pub fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    if !wait_gone(Pid::from_child(child), limit)? {
        return Ok(None);
    }
    let status = child.wait().context("reading a child's exit status")?;
    Ok(Some(status))
}

/// Waits for the end of a process, a child of ours or not; false when `limit` passed first.
pub fn wait_gone(pid: Pid, limit: Duration) -> Result<bool> {
    let deadline = Instant::now() + limit;
    // A descriptor of the process becomes readable when it ends: no polling by time.
    let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => descriptor,
        Err(rustix::io::Errno::SRCH) => return Ok(true),
        Err(error) => return Err(error).context("opening a process's pidfd"),
    };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left =
            Timespec::try_from(left).context("a waiting time that fits the kernel's type")?;
        let mut watched = [PollFd::new(&descriptor, PollFlags::IN)];
        match poll(&mut watched, Some(&left)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for a process"),
        }
    }
}

/// Reads a child's stream to its end on a thread of its own, so that a full pipe never stops it.
fn drain(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // A stream that breaks off still hands over what came before.
            let _ = stream.read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

/// The program's name and first argument, for messages.
fn name_of(command: &Command) -> String {
    let mut name = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().take(1) {
        name.push(' ');
        name.push_str(&argument.to_string_lossy());
    }
    name
}

/// The last lines of what a failed program said, errors first choice.
fn tail(errors: &[u8], output: &[u8]) -> String {
    let said = if errors.trim_ascii().is_empty() {
        output
    } else {
        errors
    };
    let said = String::from_utf8_lossy(said);
    let lines: Vec<&str> = said.trim_end().lines().collect();
    lines[lines.len().saturating_sub(12)..]
        .iter()
        .map(|line| format!("\n  {line}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_quotes_what_the_program_said() {
        let error = run(
            Command::new("sh").args(["-c", "echo lost the mirror >&2; exit 3"]),
            Duration::from_secs(30),
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("lost the mirror"), "{error}");
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_at_its_limit() {
        let started = Instant::now();
        let error = run(Command::new("sleep").arg("600"), Duration::from_millis(100))
            .unwrap_err()
            .to_string();
        assert!(error.contains("was killed"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_streamed_program_is_killed_with_its_children() {
        let mut lines = Vec::new();
        let error = stream(
            Command::new("sh").args(["-c", "sleep 600 & echo $!; echo error >&2; wait"]),
            Duration::from_millis(500),
            &mut |line| lines.push(line.to_owned()),
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("was killed"), "{error}");
        assert_eq!(lines.len(), 2, "{lines:?}");
        let sleeper = lines[0].parse().ok().and_then(Pid::from_raw).unwrap();
        // Not a child of ours, but its descriptor becomes readable at its end all the same.
        if let Ok(descriptor) = pidfd_open(sleeper, PidfdFlags::empty()) {
            let limit = Timespec {
                tv_sec: 30,
                tv_nsec: 0,
            };
            let mut watched = [PollFd::new(&descriptor, PollFlags::IN)];
            assert_eq!(poll(&mut watched, Some(&limit)), Ok(1), "the sleeper lives");
        }
    }

    #[test]
    fn a_streamed_program_says_how_it_ended() {
        let status = stream(
            Command::new("sh").args(["-c", "exit 3"]),
            Duration::from_secs(30),
            &mut |_| {},
        );
        assert_eq!(status.unwrap().code(), Some(3));
    }

    #[test]
    fn a_pipe_fails_when_its_first_half_fails() {
        let result = pipe(
            Command::new("sh").args(["-c", "echo half; exit 4"]),
            Command::new("sh").args(["-c", "cat >/dev/null"]),
            Duration::from_secs(30),
        );
        assert!(result.unwrap_err().to_string().contains("exit status: 4"));
    }
}
