//! Real machines, on the embedded host, under emulation where there is nothing better.
//!
//! A boot costs ten to twenty seconds of a processor, so each test does much with few of them.

mod change;
mod container;
mod disk;
mod gc;
mod image;
mod interrupted;
mod killed;
mod life;
mod screen;
mod security;
mod served;
mod snapshot;
mod soak;
mod two;
mod uri;
mod user;
