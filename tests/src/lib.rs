//! Support for tests of whole labs.
