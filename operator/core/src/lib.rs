//! Decides what the operator does: API types, injection, planning, status, no IO.
