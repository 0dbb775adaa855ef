//! The jobs of a demonstration, what is known of each beforehand, and what is killed meanwhile.

use super::strike::{Moment, Strike, Victim};

/// One job and what is known about it beforehand.
pub struct Planted {
    /// What the demonstration calls it.
    pub name: &'static str,
    pub board: &'static str,
    /// Its file in the lab's `jobs/`.
    pub job: &'static str,
    /// What the client must exit with (pass 0, fail 1, invalid 2).
    pub exit: i32,
    pub outcome: &'static str,
    /// What every phase must say.
    pub verdict: &'static str,
    /// A word that the reason must hold.
    pub because: &'static str,
    /// For people.
    pub says: &'static str,
}

/// Jobs, and what is killed meanwhile.
pub struct Programme {
    pub jobs: &'static [Planted],
    /// Nothing else is killed before the first of them.
    pub strikes: &'static [Strike],
}

/// The realtime kernel on both boards, and a stock kernel.
pub const RAMDISK: Programme = Programme {
    jobs: &[
        Planted {
            name: "rt-fast",
            board: "qemu-1",
            job: "realtime.yaml",
            exit: 0,
            outcome: "pass",
            verdict: "pass",
            because: "",
            says: "the realtime kernel on the faster board must pass",
        },
        Planted {
            name: "rt-slow",
            board: "qemu-2",
            job: "realtime.yaml",
            exit: 1,
            outcome: "fail",
            verdict: "fail",
            because: "400",
            says: "the same job on a slower board must fail on its numbers",
        },
        Planted {
            name: "stock",
            board: "qemu-1",
            job: "realtime-stock.yaml",
            exit: 2,
            outcome: "invalid",
            verdict: "invalid",
            because: "realtime kernel",
            says: "a kernel that is no realtime kernel must prove nothing",
        },
    ],
    strikes: &[
        Strike {
            victim: Victim::Server,
            moments: &[("rt-fast", Moment::Measuring("hackbench"))],
        },
        Strike {
            victim: Victim::Dispatcher,
            moments: &[
                ("rt-slow", Moment::Measuring("hackbench")),
                ("stock", Moment::Measuring("idle")),
                ("stock", Moment::Measuring("hackbench")),
            ],
        },
        Strike {
            victim: Victim::DispatcherAndKeeper,
            moments: &[("stock", Moment::Booting)],
        },
    ],
};

/// The realtime kernel with its root over NFS.
pub const NFS: Programme = Programme {
    jobs: &[Planted {
        name: "rt-nfs",
        board: "qemu-1",
        job: "realtime-nfs.yaml",
        exit: 0,
        outcome: "pass",
        verdict: "pass",
        because: "",
        says: "the realtime kernel with its root over NFS must pass",
    }],
    strikes: &[
        Strike {
            victim: Victim::Dispatcher,
            moments: &[("rt-nfs", Moment::Measuring("idle"))],
        },
        Strike {
            victim: Victim::Server,
            moments: &[("rt-nfs", Moment::Measuring("hackbench"))],
        },
    ],
};
