//! A dispatcher over simulated boards, with a server of the tests' own at the other end of a real
//! link.

mod assignments;
mod cost;
mod desk;
mod full_disk;
mod kills;
mod labs;
mod process;
mod separation;
mod site;
mod standstills;
mod stops;
mod telling;
