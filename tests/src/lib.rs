//! The real servers the tests talk to, and the tests across packages.
