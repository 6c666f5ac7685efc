//! Holds nothing: its manifest is what it is for.
