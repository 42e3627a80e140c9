"""One session as a state machine: frames and time in, frames out; no sockets."""
