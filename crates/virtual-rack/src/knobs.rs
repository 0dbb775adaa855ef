//! Faults that can be planted on a board while it runs: `POST /boards/NAME/knobs`.
//!
//! The body is a JSON object of the shape of [`Knobs`]; it is merged into what is set, `null` clears one knob,
//! `DELETE` clears all. A knob with `times` disappears after acting that often. Every action is counted.

use std::{collections::BTreeMap, sync::Mutex};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::random::Random;

/// A point of a board's life at which it can stop for ever (until its power is cut).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Power is on and nothing is said.
    Power,
    /// After U-Boot's banner, before its prompt.
    Uboot,
    /// In the middle of a TFTP transfer.
    Tftp,
    /// After some kernel lines.
    Kernel,
    /// The kernel is up, neither login nor shell prompt come.
    Login,
    /// The shell's prompt was shown, no input is taken.
    Shell,
    /// cyclictest does not end; the shell lives.
    Cyclictest,
}

/// See [`Stage`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hang {
    /// Where.
    pub stage: Stage,
    /// How often; absent: always.
    pub times: Option<u64>,
}

/// Where a kernel can panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PanicStage {
    /// Instead of starting init.
    Boot,
    /// In the middle of a measurement.
    Cyclictest,
}

/// A kernel panic.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panic {
    /// Where.
    pub stage: PanicStage,
    /// Reboots so much later; absent: the board stops.
    pub reboot_after_ms: Option<u64>,
    /// How often; absent: always.
    pub times: Option<u64>,
}

/// A knob without further values.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simple {
    /// How often; absent: always.
    pub times: Option<u64>,
}

/// When another kernel is started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OtherKernelAt {
    /// The boot command starts it in place of the fetched one.
    #[default]
    Boot,
    /// The countdown cannot be stopped.
    Power,
}

/// The board boots from its disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherKernel {
    /// `Linux version …`; absent: the board's `disk_kernel`, else a fixed old one.
    pub version: Option<String>,
    /// When.
    #[serde(default)]
    pub at: OtherKernelAt,
    /// How often; absent: always.
    pub times: Option<u64>,
}

/// Characters vanish on the serial line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drop {
    /// From 0 to 1, for each byte.
    pub probability: f64,
    /// Seed of the choice.
    #[serde(default)]
    pub seed: u64,
    /// How many bytes at most; absent: no limit.
    pub times: Option<u64>,
}

/// The kernel speaks in between.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Printk {
    /// In the middle of every so manieth line of the shell's output.
    pub every: Option<u64>,
    /// Right after this text in the shell's output.
    pub after: Option<String>,
    /// What it says; a time stamp is put before it.
    pub text: Option<String>,
    /// How often; absent: always.
    pub times: Option<u64>,
}

/// What a relay does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelayMode {
    /// HTTP 500 (a serial relay ignores the frame).
    Refuse,
    /// The connection is refused (a serial relay ignores the frame).
    RefuseConnection,
    /// Says what was asked, and reads back so, without switching.
    Lie,
    /// Answers, but the state never changes.
    Stuck,
}

/// A relay fault on the outlet of this board.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayFault {
    /// Which.
    pub mode: RelayMode,
    /// Only when it is asked to switch to this state.
    pub only: Option<OnOff>,
    /// How many switch commands; absent: always.
    pub times: Option<u64>,
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnOff {
    /// Power on.
    On,
    /// Power off.
    Off,
}

/// The fake hackbench ends with status 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadDies {
    /// After so many real milliseconds.
    #[serde(default)]
    pub after_ms: u64,
    /// How often; absent: always.
    pub times: Option<u64>,
}

/// One sample of each measurement is this late.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spike {
    /// Its latency.
    pub us: u32,
    /// How often; absent: always.
    pub times: Option<u64>,
}

/// The measurement thread starves.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostCycles {
    /// Share of cycles that are missing, 0 to 1.
    pub share: f64,
    /// How often; absent: always.
    pub times: Option<u64>,
}

/// The board stands still, its serial line with it: it says nothing and takes nothing in. Ended by clearing
/// the knob or by setting a different one; acts once a power-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Right after it has said this text since the knob was set.
    pub after: String,
    /// For so manieth time, from 1.
    #[serde(default = "first")]
    pub nth: u64,
}

fn first() -> u64 {
    1
}

/// Everything that can be set; absent knobs are off.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knobs {
    /// Stops at a stage.
    pub hang: Option<Hang>,
    /// Stands still for a while.
    pub hold: Option<Hold>,
    /// Panics at a stage.
    pub panic: Option<Panic>,
    /// Reboots in the middle of a measurement.
    pub reboot_mid_run: Option<Simple>,
    /// Starts another kernel.
    pub other_kernel: Option<OtherKernel>,
    /// Loses bytes that the board says.
    pub drop_output: Option<Drop>,
    /// Loses bytes that the board should hear.
    pub drop_input: Option<Drop>,
    /// Kernel lines in the middle of others.
    pub printk: Option<Printk>,
    /// The relay misbehaves.
    pub relay: Option<RelayFault>,
    /// TFTP requests get no answer.
    pub no_tftp: Option<Simple>,
    /// The console's port and PTY do not exist, until cleared (`times` has no meaning here).
    pub console_gone: Option<Simple>,
    /// The load ends early.
    pub load_dies: Option<LoadDies>,
    /// The measurement file ends in its middle.
    pub truncate_json: Option<Simple>,
    /// A late sample.
    pub spike: Option<Spike>,
    /// Missing samples.
    pub lost_cycles: Option<LostCycles>,
}

/// A knob that wears off.
pub trait Wearing {
    /// What is left of `times`.
    fn times(&mut self) -> &mut Option<u64>;
}

macro_rules! wearing {
    ($($name:ty),*) => {$(
        impl Wearing for $name {
            fn times(&mut self) -> &mut Option<u64> {
                &mut self.times
            }
        }
    )*};
}
wearing!(
    Hang,
    Panic,
    Simple,
    OtherKernel,
    Drop,
    Printk,
    RelayFault,
    LoadDies,
    Spike,
    LostCycles
);

struct State {
    knobs: Knobs,
    fired: BTreeMap<&'static str, u64>,
    output_dice: Random,
    input_dice: Random,
}

/// A board's knobs with the counters of what they did.
pub struct KnobPanel {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
#[error("not a set of knobs: {0}")]
pub struct KnobsError(#[from] serde_json::Error);

impl KnobPanel {
    /// A panel with nothing set.
    pub fn new() -> KnobPanel {
        KnobPanel {
            state: Mutex::new(State {
                knobs: Knobs::default(),
                fired: BTreeMap::new(),
                output_dice: Random::new(0),
                input_dice: Random::new(0),
            }),
            changed: watch::Sender::new(0),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the knobs")
    }

    /// Merges a JSON object: a value sets a knob, `null` clears it.
    pub fn merge(&self, patch: Map<String, Value>) -> Result<(), KnobsError> {
        {
            let mut state = self.state();
            let mut whole: Map<String, Value> = as_object(&state.knobs);
            let reseed_output = patch.contains_key("drop_output");
            let reseed_input = patch.contains_key("drop_input");
            whole.extend(patch);
            state.knobs = from_object(whole)?;
            let seed = |drop: &Option<Drop>| drop.as_ref().map_or(0, |drop| drop.seed);
            if reseed_output {
                state.output_dice = Random::new(seed(&state.knobs.drop_output));
            }
            if reseed_input {
                state.input_dice = Random::new(seed(&state.knobs.drop_input));
            }
        }
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Clears all knobs; the counters stay.
    pub fn clear(&self) {
        self.state().knobs = Knobs::default();
        self.changed.send_modify(|count| *count += 1);
    }

    /// What is set now.
    pub fn current(&self) -> Knobs {
        self.state().knobs.clone()
    }

    /// How often each knob acted.
    pub fn fired(&self) -> BTreeMap<&'static str, u64> {
        self.state().fired.clone()
    }

    /// Wakes at each change.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Takes a knob if it is set and `fits`: counts it, wears it off, returns its values.
    pub fn take<T: Wearing + Clone>(
        &self,
        name: &'static str,
        slot: impl Fn(&mut Knobs) -> &mut Option<T>,
        fits: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let taken = {
            let mut state = self.state();
            let place = slot(&mut state.knobs);
            let knob = place.as_mut()?;
            if !fits(knob) {
                return None;
            }
            let taken = knob.clone();
            let worn = match knob.times() {
                Some(0 | 1) => true,
                Some(left) => {
                    *left -= 1;
                    false
                }
                None => false,
            };
            if worn {
                *place = None;
            }
            *state.fired.entry(name).or_default() += 1;
            taken
        };
        self.changed.send_modify(|count| *count += 1);
        Some(taken)
    }

    /// Counts an action of a knob that stays until it is cleared.
    pub fn count(&self, name: &'static str) {
        *self.state().fired.entry(name).or_default() += 1;
    }

    /// Takes the hang knob for `stage`.
    pub fn hangs(&self, stage: Stage) -> bool {
        self.take("hang", |knobs| &mut knobs.hang, |hang| hang.stage == stage)
            .is_some()
    }

    /// Removes bytes as `drop_output` or `drop_input` asks: what is left, and what was taken.
    pub fn drop_bytes(&self, output: bool, bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut guard = self.state();
        let state = &mut *guard;
        let (slot, dice, name) = if output {
            (
                &mut state.knobs.drop_output,
                &mut state.output_dice,
                "drop_output",
            )
        } else {
            (
                &mut state.knobs.drop_input,
                &mut state.input_dice,
                "drop_input",
            )
        };
        let probability = slot.as_ref()?.probability;
        let (mut left, mut gone) = (Vec::with_capacity(bytes.len()), Vec::new());
        for &byte in bytes {
            let hit = slot.is_some() && dice.unit() < probability;
            if !hit {
                left.push(byte);
                continue;
            }
            gone.push(byte);
            *state.fired.entry(name).or_default() += 1;
            let times = slot.as_mut().and_then(|drop| drop.times.as_mut());
            if let Some(times) = times {
                *times = times.saturating_sub(1);
                if *times == 0 {
                    *slot = None;
                }
            }
        }
        Some((left, gone))
    }
}

fn as_object<T: Serialize>(value: &T) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => map,
        other => unreachable!("a struct is a JSON object, not {other:?}"),
    }
}

fn from_object<T: DeserializeOwned>(map: Map<String, Value>) -> Result<T, KnobsError> {
    Ok(serde_json::from_value(Value::Object(map))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_knob_with_times_wears_off_and_is_counted() {
        let panel = KnobPanel::new();
        panel
            .merge(patch(r#"{"hang":{"stage":"tftp","times":2}}"#))
            .unwrap();
        assert!(!panel.hangs(Stage::Kernel));
        assert!(panel.hangs(Stage::Tftp));
        assert!(panel.hangs(Stage::Tftp));
        assert!(!panel.hangs(Stage::Tftp));
        assert_eq!(panel.fired()["hang"], 2);
    }

    #[test]
    fn merging_keeps_the_others_and_null_clears() {
        let panel = KnobPanel::new();
        panel
            .merge(patch(r#"{"no_tftp":{},"spike":{"us":900}}"#))
            .unwrap();
        panel.merge(patch(r#"{"no_tftp":null}"#)).unwrap();
        assert!(panel.current().no_tftp.is_none());
        assert_eq!(panel.current().spike.unwrap().us, 900);
        assert!(panel.merge(patch(r#"{"no_such":{}}"#)).is_err());
    }

    #[test]
    fn dropped_and_kept_bytes_are_together_the_whole() {
        let panel = KnobPanel::new();
        panel
            .merge(patch(
                r#"{"drop_output":{"probability":0.5,"seed":7,"times":3}}"#,
            ))
            .unwrap();
        let (left, gone) = panel.drop_bytes(true, &[1; 100]).unwrap();
        assert_eq!((left.len(), gone.len()), (97, 3));
        assert!(panel.drop_bytes(true, &[1]).is_none());
    }
}
