//! The store of artefacts with what fills it: real compilers and servers, and no machine.

mod build;
