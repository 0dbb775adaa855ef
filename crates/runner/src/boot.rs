//! From a board that is off to a shell on it: power, U-Boot, kernel, login (facts: LAVA 2026.07,
//! "boot sequence for a network-booted board").

use std::net::Ipv4Addr;
use std::time::Duration;

use basalt_console::{Match, Pattern};
use basalt_lab::placeholder;
use basalt_model::event::{Level, PowerRequest};
use basalt_model::{Culprit, EventBody, Failure, Part, PowerState};
use basalt_plan::plan::{Block, Boot, action};
use tokio::time::Instant;

use crate::run::{Place, Run};
use crate::session::{Interruption, RefusedFile, Stage, chain};

/// What U-Boot prints when a file did not come over the network (facts: LAVA's base template).
const NETWORK_ERRORS: [&str; 5] = [
    "TIMEOUT",
    "Retry count exceeded",
    "Retry time exceeded; starting again",
    "The remote end did not respond in time.",
    "File not found",
];

/// How long the board must be silent before a prompt is asked for again.
const SHORTEST_QUIET: Duration = Duration::from_secs(1);
const LONGEST_QUIET: Duration = Duration::from_secs(10);

impl Run {
    /// One attempt of a boot block.
    pub(crate) async fn boot(
        &mut self,
        block: &Block,
        boot: &Boot,
        attempt: u32,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let place = |number: u32, name: &'static str| Place {
            level: format!("{}.{number}", block.level),
            name: name.into(),
            attempt,
            deadline: deadline.min(Instant::now() + block.timeout_of(name)),
        };
        self.board_ready = false;
        self.may_reattach = false;
        self.session.listen(None);
        self.session.enter(Stage::Loader);

        let here = place(1, action::RESET);
        self.action(here, async |run, _| run.reset().await).await?;

        let here = place(2, action::INTERRUPT);
        self.action(here, async |run, deadline| {
            run.interrupt(boot, deadline).await
        })
        .await?;

        let here = place(3, action::COMMANDS);
        self.action(here, async |run, deadline| {
            run.boot_commands(boot, deadline).await
        })
        .await?;

        let here = place(4, action::AUTO_LOGIN);
        let login_deadline = deadline.min(Instant::now() + block.timeout_of(action::LOGIN));
        self.action(here, async |run, deadline| {
            run.kernel(boot, &block.level, attempt, deadline, login_deadline)
                .await
        })
        .await?;

        let here = place(5, action::EXPECT_SHELL);
        self.action(here, async |run, deadline| run.take_shell(deadline).await)
            .await?;
        self.board_ready = true;

        if self.measures() {
            let here = place(6, action::ENVIRONMENT);
            self.action(here, async |run, deadline| {
                run.record_environment(deadline).await
            })
            .await?;
        }
        Ok(())
    }

    /// Makes sure that the board starts from nothing: off long enough, then on. Not in one cycle:
    /// what a board that was left on says until it is off must not be taken for the next boot's.
    async fn reset(&mut self) -> Result<(), Failure> {
        let was_off = self.power_state().await == PowerState::Off;
        if !was_off {
            self.switch(PowerRequest::Off).await?;
        }
        self.wait_off_time().await;
        // A board that was off when this run got it, and has said nothing since, has nothing on its
        // way.
        if !(was_off && self.session.is_untouched()) {
            self.session.catch_up_quietly().await;
        }
        self.durable_before_power().await?;
        self.session.forget();
        self.switch(PowerRequest::On).await
    }

    async fn interrupt(&mut self, boot: &Boot, deadline: Instant) -> Result<(), Failure> {
        let Some(u_boot) = self.plan.board.u_boot.clone() else {
            return Err(Failure::new(
                Culprit::Configuration,
                "no-u-boot",
                "the board's type has no U-Boot",
            ));
        };
        let prompt = self.pattern(&u_boot.prompt)?;
        let kernel = self.pattern(&boot.kernel_start_message)?;
        let asked = [
            literal(&u_boot.interrupt_prompt)?,
            // Some boards have no automatic boot: they stand at the prompt at once.
            prompt.clone(),
            kernel.clone(),
        ];
        let awaited = format!("{:?} of U-Boot", u_boot.interrupt_prompt);
        let found = match self.session.expect(&asked, deadline).await {
            Ok(found) => found,
            Err(why) => return Err(self.loader_failure(&why, &awaited, "did not come up")),
        };
        match found.index {
            0 => {}
            1 => return Ok(()),
            _ => return Err(self.uninvited_kernel(awaited, deadline).await),
        }
        self.type_line(&u_boot.interrupt_character, &awaited)
            .await?;
        let awaited = format!("U-Boot's prompt {:?}", u_boot.prompt);
        match self.session.expect(&[prompt, kernel], deadline).await {
            Ok(found) if found.index == 0 => Ok(()),
            Ok(_) => Err(self.uninvited_kernel(awaited, deadline).await),
            Err(why) => Err(self.loader_failure(&why, &awaited, "could not be stopped")),
        }
    }

    /// The board booted what it found on its own disk or network.
    async fn uninvited_kernel(&mut self, awaited: String, deadline: Instant) -> Failure {
        let whole = |session: &crate::session::Session| session.kernel_seen();
        // Without the rest of the line there is less to say, and nothing else changes.
        let _ = self.session.wait_until(deadline, whole).await;
        let line = match &self.session.recorder.state().banner {
            Some(line) => format!(": {line}"),
            None => String::new(),
        };
        self.session.failure(
            Culprit::Infrastructure,
            Some(Part::Board),
            "another-kernel",
            format!("the board booted a kernel of its own before U-Boot was stopped{line}"),
            Some(awaited),
        )
    }

    async fn boot_commands(&mut self, boot: &Boot, deadline: Instant) -> Result<(), Failure> {
        let Some(u_boot) = self.plan.board.u_boot.clone() else {
            return Ok(());
        };
        let mut patterns = vec![self.pattern(&u_boot.prompt)?];
        for text in &u_boot.error_messages {
            patterns.push(literal(text)?);
        }
        let last = boot.commands.len().saturating_sub(1);
        for (index, command) in boot.commands.iter().enumerate() {
            let command = self.substitute(command, boot)?;
            if index == last {
                self.session.about_to_jump();
            }
            self.type_line(&format!("{command}\n"), &command).await?;
            let mut patterns = patterns.clone();
            let awaited = if index == last {
                patterns.push(literal(&boot.final_message)?);
                format!("{:?} after `{command}`", boot.final_message)
            } else {
                format!("U-Boot's prompt after `{command}`")
            };
            let found = match self.session.expect(&patterns, deadline).await {
                Ok(found) => found,
                Err(why) => {
                    return Err(self.loader_failure(&why, &awaited, "did not end a command"));
                }
            };
            if let Err(why) = self.session.hear_servers() {
                return Err(self.loader_failure(&why, &awaited, "did not end a command"));
            }
            if found.index == 0 && index < last && self.session.refused_file.is_none() {
                continue;
            }
            if found.index == patterns.len() - 1 && index == last {
                break;
            }
            self.session.catch_up_quietly().await;
            return Err(self.command_failure(&command, &found.text, found.index == 0, awaited));
        }
        self.session.enter(Stage::Kernel);
        Ok(())
    }

    /// What an error message of U-Boot, or its prompt instead of a jump, amounts to.
    fn command_failure(&self, command: &str, said: &str, prompt: bool, awaited: String) -> Failure {
        if let Some(file) = &self.session.refused_file {
            return self.refused_file(file, &format!("`{command}` asks"), awaited);
        }
        if prompt {
            return self.session.failure(
                Culprit::Job,
                None,
                "boot-command",
                format!("U-Boot came back to its prompt instead of booting after `{command}`"),
                Some(awaited),
            );
        }
        if NETWORK_ERRORS.contains(&said) {
            return self.session.failure(
                Culprit::Infrastructure,
                Some(Part::Network),
                "tftp-timeout",
                format!("the board got no answer over TFTP for `{command}` (U-Boot said {said:?})"),
                Some(awaited),
            );
        }
        let board = ["Resetting CPU", "Must RESET board to recover"].contains(&said);
        self.session.failure(
            if board {
                Culprit::Infrastructure
            } else {
                Culprit::Job
            },
            board.then_some(Part::Board),
            "boot-loader-error",
            format!("U-Boot said {said:?} to `{command}`"),
            Some(awaited),
        )
    }

    /// A file that was asked for and not served: the job does not deploy it, or it was asked for
    /// from an address that is not the board's.
    fn refused_file(&self, file: &RefusedFile, who_asks: &str, awaited: String) -> Failure {
        let declared = self.plan.board.network.as_ref();
        match declared.filter(|network| network.address != file.client) {
            Some(network) => self.session.failure(
                Culprit::Configuration,
                None,
                "tftp-wrong-address",
                wrong_address(self.plan.board.name.as_str(), network.address, file),
                Some(awaited),
            ),
            None => self.session.failure(
                Culprit::Job,
                None,
                "tftp-file-missing",
                format!(
                    "{who_asks} for {:?}, which this job does not deploy",
                    file.name
                ),
                Some(awaited),
            ),
        }
    }

    /// From U-Boot's last word to a shell prompt.
    async fn kernel(
        &mut self,
        boot: &Boot,
        level: &str,
        attempt: u32,
        deadline: Instant,
        login_deadline: Instant,
    ) -> Result<(), Failure> {
        let start = self.pattern(&boot.kernel_start_message)?;
        let awaited = format!("the kernel's first line ({})", boot.kernel_start_message);
        if let Err(why) = self.session.expect(&[start], deadline).await {
            return Err(self.kernel_failure(&why, &awaited, "the kernel printed nothing"));
        }
        // The whole line, as the watch takes it; it follows with the next bytes.
        if let Err(why) = self.session.wait_for_kernel(deadline).await {
            return Err(self.kernel_failure(
                &why,
                &awaited,
                "the kernel stopped in its first line",
            ));
        }
        self.check_kernel()?;

        let mut patterns = Vec::new();
        for prompt in &boot.prompts {
            patterns.push(self.pattern(prompt)?);
        }
        let prompts = patterns.len();
        if let Some(login) = &boot.login {
            patterns.push(self.pattern(&login.prompt)?);
        }
        if let Some(message) = &boot.failure_message {
            patterns.push(self.pattern(message)?);
        }
        let awaited = format!("the shell prompt ({})", boot.prompts.join(" or "));
        let found = match self.expect_prompt(&patterns, deadline).await {
            Ok(found) => found,
            Err(why) => {
                return Err(self.kernel_failure(&why, &awaited, "the kernel booted to no shell"));
            }
        };
        if found.index < prompts {
            return Ok(());
        }
        match &boot.login {
            Some(login) if found.index == prompts => {
                let here = Place {
                    level: format!("{level}.4.1"),
                    name: action::LOGIN.into(),
                    attempt,
                    deadline: login_deadline.max(Instant::now()),
                };
                let (login, prompts) = (login.clone(), patterns[..prompts].to_vec());
                self.action(here, async |run, _| {
                    run.log_in(&login, &prompts, deadline).await
                })
                .await
            }
            _ => Err(self.session.failure(
                Culprit::Job,
                None,
                "failure-message",
                format!(
                    "the boot said {:?}, which the job calls a failure",
                    found.text
                ),
                Some(awaited),
            )),
        }
    }

    /// Waits for a prompt at which an empty line does no harm. A kernel message may have torn the
    /// one that came: where nothing more is said, an empty line has it shown again.
    async fn expect_prompt(
        &mut self,
        patterns: &[Pattern],
        deadline: Instant,
    ) -> Result<Match, Interruption> {
        let quiet = deadline.saturating_duration_since(Instant::now()) / 4;
        let quiet = quiet.clamp(SHORTEST_QUIET, LONGEST_QUIET);
        loop {
            let before = self.session.offset();
            let until = deadline.min(Instant::now() + quiet);
            match self.session.expect(patterns, until).await {
                Err(Interruption::Timeout) if Instant::now() < deadline => {
                    if self.session.offset() == before {
                        self.session.type_text("\n").await?;
                    }
                }
                result => return result,
            }
        }
    }

    async fn log_in(
        &mut self,
        login: &basalt_plan::plan::Login,
        prompts: &[Pattern],
        deadline: Instant,
    ) -> Result<(), Failure> {
        let awaited = "the shell prompt after the login".to_owned();
        self.type_line(&format!("{}\n", login.username), &awaited)
            .await?;
        let mut patterns = prompts.to_vec();
        patterns.push(literal("Login incorrect")?);
        patterns.push(literal("Login timed out")?);
        let refusals = prompts.len()..prompts.len() + 2;
        if let Some((prompt, _)) = &login.password {
            patterns.push(self.pattern(prompt)?);
        }
        loop {
            let found = match self.session.expect(&patterns, deadline).await {
                Ok(found) => found,
                Err(why) => return Err(self.kernel_failure(&why, &awaited, "the login hangs")),
            };
            if found.index < prompts.len() {
                break;
            }
            if refusals.contains(&found.index) {
                return Err(self.session.failure(
                    Culprit::Job,
                    None,
                    "login",
                    format!("the login as {:?} failed: {:?}", login.username, found.text),
                    Some(awaited),
                ));
            }
            if let Some((_, password)) = &login.password {
                self.type_line(&format!("{password}\n"), &awaited).await?;
            }
            // Asked once; a second prompt means that the password is wrong, and that is said.
            patterns.truncate(prompts.len() + 2);
        }
        for command in &login.commands {
            self.type_line(&format!("{command}\n"), &awaited).await?;
            if let Err(why) = self.session.expect(prompts, deadline).await {
                let awaited = format!("the prompt after the login command `{command}`");
                return Err(self.kernel_failure(&why, &awaited, "a login command hangs"));
            }
        }
        Ok(())
    }

    /// Compares the kernel that was served with the one that came up (decision D17).
    fn check_kernel(&self) -> Result<(), Failure> {
        let state = self.session.recorder.state();
        let Some(printed) = &state.banner else {
            return Ok(());
        };
        let Some(served) = state
            .artifact("kernel")
            .and_then(|kernel| kernel.linux_version.as_ref())
        else {
            return Ok(());
        };
        basalt_realtime::environment::same_kernel(served, printed).map_err(|difference| {
            self.session.failure(
                Culprit::Infrastructure,
                Some(Part::Board),
                "another-kernel",
                format!("the board booted another kernel than the one it was served: {difference}"),
                None,
            )
        })
    }

    /// Makes the shell ours: a wide terminal, no printk on the console unless it is grave, the
    /// overlay there.
    async fn take_shell(&mut self, deadline: Instant) -> Result<(), Failure> {
        self.session.enter(Stage::Shell);
        let prompt = self.plan.board.shell.prompt.clone();
        // The prompt is split, so that the echo of this line is not taken for it.
        let (head, tail) = prompt.split_at(prompt.len() / 2);
        let command = format!(
            "stty cols 500 2>/dev/null; HISTFILE=; PS1={}{}; export PS1\n",
            crate::overlay::quote(head),
            crate::overlay::quote(tail)
        );
        let awaited = "the shell's new prompt".to_owned();
        self.type_line(&command, &awaited).await?;
        if let Err(why) = self.expect_prompt(&[literal(&prompt)?], deadline).await {
            return Err(self.kernel_failure(&why, &awaited, "the shell does not answer"));
        }
        if !self.needs_overlay() {
            return Ok(());
        }
        let root = self.overlay_root();
        let test = format!("[ -x {root}/bin/basalt-stage ]");
        let (code, _) = self.shell(&test, deadline).await?;
        if code != 0 {
            return Err(self.session.failure(
                Culprit::Job,
                None,
                "no-overlay",
                format!(
                    "the board has no {root}: neither its ramdisk nor its NFS root carries the \
                     overlay (install_overlay: false?)"
                ),
                None,
            ));
        }
        Ok(())
    }

    /// Puts the values of this lease into a boot command.
    fn substitute(&self, command: &str, boot: &Boot) -> Result<String, Failure> {
        let board = &self.plan.board;
        let dispatcher = &self.plan.dispatcher;
        let mut text = command.to_owned();
        for name in placeholder::names(command) {
            let address = &boot.load_addresses;
            let file = |label: &str| self.roots.as_ref().map(|roots| roots.tftp_path(label));
            let network = board.network.as_ref();
            let value = match name {
                "SERVER_IP" | "NFS_SERVER_IP" => Some(dispatcher.address.to_string()),
                "NFS_PORT" => self
                    .roots
                    .as_ref()
                    .and_then(|roots| roots.nfs_port())
                    .map(|port| port.to_string()),
                "NFSROOTFS" => self.roots.as_ref().and_then(|roots| roots.nfs_path()),
                "KERNEL" => file("kernel"),
                "RAMDISK" => file("ramdisk"),
                "DTB" => file("dtb"),
                "KERNEL_ADDR" => Some(address.kernel.clone()),
                "RAMDISK_ADDR" => Some(address.ramdisk.clone()),
                "DTB_ADDR" => Some(address.dtb.clone()),
                "LAVA_MAC" => network.map(|network| network.mac.clone()),
                "BOARD_IP" => network.map(|network| network.address.to_string()),
                "BOARD_PREFIX" => network.map(|network| network.prefix.to_string()),
                "BOARD_NETMASK" => network.map(|network| netmask(network.prefix).to_string()),
                _ => continue,
            };
            let Some(value) = value else {
                return Err(Failure::new(
                    Culprit::Configuration,
                    "placeholder",
                    format!("`{command}` needs {{{name}}}, which this board or job does not have"),
                ));
            };
            text = text.replace(&format!("{{{name}}}"), &value);
        }
        Ok(text)
    }

    /// A wait in the boot loader that came to nothing.
    fn loader_failure(&self, why: &Interruption, awaited: &str, what: &str) -> Failure {
        if let Some(failure) = self.session.judge(why, awaited) {
            return failure;
        }
        if let Some(file) = &self.session.refused_file {
            return self.refused_file(file, "the boot commands ask", awaited.to_owned());
        }
        if !self.session.heard_anything() {
            let power = self.session.recorder.state().power;
            let relay = match power {
                Some(PowerState::On) => "the relay says on",
                _ => "the relay cannot say whether it is on",
            };
            return self.session.failure(
                Culprit::Infrastructure,
                Some(Part::Board),
                "board-silent",
                format!("the board said nothing since it was switched on ({relay}): board, console or outlet"),
                Some(awaited.to_owned()),
            );
        }
        self.session.failure(
            Culprit::Infrastructure,
            Some(Part::Board),
            "boot-loader-timeout",
            format!("the boot loader {what} within its time"),
            Some(awaited.to_owned()),
        )
    }

    /// A wait on the kernel or its user space that came to nothing.
    pub(crate) fn kernel_failure(&self, why: &Interruption, awaited: &str, what: &str) -> Failure {
        self.session.judge(why, awaited).unwrap_or_else(|| {
            self.session.failure(
                Culprit::Kernel,
                None,
                "kernel-hang",
                format!("{what} within its time"),
                Some(awaited.to_owned()),
            )
        })
    }

    /// Types, or says that the console is gone.
    pub(crate) async fn type_line(&mut self, text: &str, awaited: &str) -> Result<(), Failure> {
        match self.session.type_text(text).await {
            Ok(()) => Ok(()),
            Err(why) => Err(self.kernel_failure(&why, awaited, "the console takes no characters")),
        }
    }

    /// Runs a command at the board's shell.
    pub(crate) async fn shell(
        &mut self,
        command: &str,
        deadline: Instant,
    ) -> Result<(i32, String), Failure> {
        match self.session.command(command, deadline).await {
            Ok(answer) => Ok(answer),
            Err(why) => {
                let awaited = format!("the end of `{command}`");
                Err(self.kernel_failure(&why, &awaited, "the shell does not answer"))
            }
        }
    }

    fn pattern(&self, text: &str) -> Result<Pattern, Failure> {
        Pattern::regex(text).map_err(|error| {
            Failure::new(
                Culprit::Configuration,
                "pattern",
                format!("the expression {text:?} cannot be used: {}", chain(&error)),
            )
        })
    }

    /// Asks the relay; unknown where it cannot say.
    pub(crate) async fn power_state(&mut self) -> PowerState {
        match self.relay.read(self.plan.board.power.outlet).await {
            Ok(state) => state,
            Err(error) => {
                let _ = self.session.recorder.log(
                    Level::Warning,
                    format!("the relay cannot be read: {}", chain(&error)),
                );
                PowerState::Unknown
            }
        }
    }

    /// Console and journal on the disk before the board is switched on (decision D7).
    async fn durable_before_power(&mut self) -> Result<(), Failure> {
        if let Err(why) = self.session.sync_console().await {
            return Err(self.kernel_failure(&why, "the keeper", "the console cannot be kept"));
        }
        Ok(())
    }

    /// One switch: intent, act, outcome.
    pub(crate) async fn switch(&mut self, request: PowerRequest) -> Result<(), Failure> {
        let epoch = self.epoch;
        self.journal_durably(EventBody::PowerIntent { request, epoch })?;
        let outlet = self.plan.board.power.outlet;
        let answer = match request {
            PowerRequest::On => self.relay.set(outlet, true).await,
            PowerRequest::Off => self.relay.set(outlet, false).await,
            PowerRequest::Cycle => {
                let off_time = self.plan.board.power.off_time;
                self.relay.cycle(outlet, off_time).await
            }
        };
        let (state, error) = match &answer {
            Ok(state) => (*state, None),
            Err(error) => (error.said(), Some(chain(error))),
        };
        self.journal(EventBody::PowerOutcome {
            request,
            state,
            error: error.clone(),
        })?;
        match answer {
            Ok(_) => Ok(()),
            Err(power_error) if power_error.is_configuration() => Err(Failure::new(
                Culprit::Configuration,
                power_error.code(),
                chain(&power_error),
            )),
            Err(power_error) => Err(self.session.failure(
                Culprit::Infrastructure,
                Some(Part::Relay),
                power_error.code(),
                chain(&power_error),
                None,
            )),
        }
    }

    /// Waits until the board has been off for as long as it must be.
    async fn wait_off_time(&mut self) {
        let off_time = self.plan.board.power.off_time;
        let since = match &self.session.recorder.state().off_at {
            Some((stamp, boot)) if boot == self.session.clock.boot_id() => {
                basalt_clock::since(stamp.boot, self.session.clock.now().boot)
            }
            // Nobody of this run switched it off: it has been off for as long as anybody knows.
            _ => off_time,
        };
        tokio::time::sleep(off_time.saturating_sub(since)).await;
    }
}

fn literal(text: &str) -> Result<Pattern, Failure> {
    Pattern::literal(text).map_err(|error| {
        Failure::new(
            Culprit::Configuration,
            "pattern",
            format!("the text {text:?} cannot be awaited: {}", chain(&error)),
        )
    })
}

/// Files are served to the address alone that the board's file declares.
fn wrong_address(board: &str, declared: Ipv4Addr, file: &RefusedFile) -> String {
    format!(
        "{} asked over TFTP for {:?} and may not have it: the file of board {board} declares the \
         address {declared}; write there the address that the board asks from",
        file.client, file.name
    )
}

fn netmask(prefix: u8) -> std::net::Ipv4Addr {
    let bits = u32::MAX
        .checked_shl(32 - u32::from(prefix.min(32)))
        .unwrap_or(0);
    std::net::Ipv4Addr::from(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_from_another_address_than_declared_is_told_with_both() {
        let file = RefusedFile {
            name: "kernel".into(),
            client: Ipv4Addr::LOCALHOST,
        };
        let said = wrong_address("sim-1", Ipv4Addr::new(10, 0, 0, 7), &file);
        for part in ["127.0.0.1 asked", "\"kernel\"", "sim-1", "10.0.0.7"] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn a_prefix_becomes_a_netmask() {
        assert_eq!(netmask(24).to_string(), "255.255.255.0");
        assert_eq!(netmask(0).to_string(), "0.0.0.0");
        assert_eq!(netmask(32).to_string(), "255.255.255.255");
    }
}
