//! Job texts.

use std::fmt::Write;

/// What a job deploys: names of files that the rack serves.
#[derive(Clone, Debug)]
pub struct Deploy {
    /// URLs begin so.
    pub base: String,
    /// The kernel's file.
    pub kernel: String,
    /// The ramdisk's file.
    pub ramdisk: String,
    /// Further lines of the kernel's mapping, such as `sha256sum: …`.
    pub kernel_extra: Vec<String>,
}

/// A job in the making.
#[derive(Clone, Debug)]
pub struct Job {
    name: String,
    /// Lines of `timeouts` at the top.
    timeouts: Vec<String>,
    deploy: Deploy,
    /// Lines of the boot block that come in place of or beside the usual ones.
    commands: String,
    prompts: String,
    boot_extra: Vec<String>,
    tests: Vec<String>,
}

impl Job {
    /// A job that deploys and boots.
    pub fn new(name: &str, deploy: Deploy) -> Self {
        Self {
            name: name.to_owned(),
            // Longer than any test waits: a run that is waited for did not end because of this.
            timeouts: vec!["job: {minutes: 10}".into()],
            deploy,
            commands: "ramdisk".into(),
            prompts: "['/ # ']".into(),
            boot_extra: Vec::new(),
            tests: Vec::new(),
        }
    }

    /// Adds measurements; see [`phase`].
    pub fn realtime(mut self, phases: &[String]) -> Self {
        let mut text = "  - test:\n      realtime:\n".to_owned();
        for phase in phases {
            let _ = writeln!(text, "        - {phase}");
        }
        self.tests.push(text);
        self
    }

    /// Adds a test block with definitions; see [`definition`].
    pub fn definitions(mut self, definitions: &[String]) -> Self {
        let mut text = "  - test:\n      definitions:\n".to_owned();
        for definition in definitions {
            text.push_str(definition);
        }
        self.tests.push(text);
        self
    }

    /// Changes what is deployed.
    pub fn deploy(mut self, change: impl FnOnce(&mut Deploy)) -> Self {
        change(&mut self.deploy);
        self
    }

    /// Types these commands at the boot loader in place of the board type's.
    pub fn commands(mut self, commands: &[&str]) -> Self {
        let quoted: Vec<String> = commands
            .iter()
            .map(|command| format!("'{command}'"))
            .collect();
        self.commands = format!("[{}]", quoted.join(", "));
        self
    }

    /// Adds a line to the boot block.
    pub fn boot_line(mut self, line: &str) -> Self {
        self.boot_extra.push(line.to_owned());
        self
    }

    /// Adds a line to the job's `timeouts`.
    pub fn timeout_line(mut self, line: &str) -> Self {
        self.timeouts.push(line.to_owned());
        self
    }

    /// The job as YAML.
    pub fn text(&self) -> String {
        let mut text = format!(
            "job_name: {}\ndevice_type: simulated-test\nvisibility: public\npriority: medium\ntimeouts:\n",
            self.name
        );
        for line in &self.timeouts {
            let _ = writeln!(text, "  {line}");
        }
        let Deploy {
            base,
            kernel,
            ramdisk,
            kernel_extra,
        } = &self.deploy;
        let _ = write!(
            text,
            "actions:\n  - deploy:\n      to: tftp\n      kernel:\n        url: {base}/{kernel}\n        type: image\n"
        );
        for line in kernel_extra {
            let _ = writeln!(text, "        {line}");
        }
        let _ = write!(
            text,
            "      ramdisk:\n        url: {base}/{ramdisk}\n  - boot:\n      method: u-boot\n      commands: {}\n      prompts: {}\n",
            self.commands, self.prompts
        );
        for line in &self.boot_extra {
            let _ = writeln!(text, "      {line}");
        }
        for test in &self.tests {
            text.push_str(test);
        }
        text
    }
}

/// One item of `realtime`: five seconds of measurement, which take a fiftieth of it unless the board
/// says otherwise (`time_scale`).
pub fn phase(name: &str, extra: &str) -> String {
    let comma = if extra.is_empty() { "" } else { ", " };
    format!("{{name: {name}, measure: cyclictest, duration: 5s, interval: 1000us{comma}{extra}}}")
}

/// One item of `definitions`, written inline; `extra` are lines of the definition, `item` of the
/// item around it.
pub fn definition(name: &str, steps: &[&str], extra: &[&str], item: &[&str]) -> String {
    let mut text = format!(
        "        - from: inline\n          name: {name}\n          path: inline/{name}.yaml\n"
    );
    for line in item {
        let _ = writeln!(text, "          {line}");
    }
    let _ = write!(
        text,
        "          repository:\n            metadata: {{format: Lava-Test Test Definition 1.0, name: {name}}}\n"
    );
    for line in extra {
        let _ = writeln!(text, "            {line}");
    }
    text.push_str("            run:\n              steps:\n");
    for step in steps {
        let _ = writeln!(text, "                - '{}'", step.replace('\'', "''"));
    }
    text
}
