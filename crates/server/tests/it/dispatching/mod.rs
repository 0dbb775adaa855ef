//! Dispatchers that a test plays by hand, over the real link, against a server with a real store:
//! whatever is cut off or killed at whatever moment, a job is finished once and nothing is lost.

mod boundaries;
mod canceling;
mod database;
mod disk;
mod fencing;
mod full_disk;
mod greeting;
mod large_log;
mod runs;
mod script;
mod site;
mod stopping;

use disk::Disk;
use script::Script;
use site::{Site, wait_for};
