//! Decides what the agent does: input in, commands out, no IO.
