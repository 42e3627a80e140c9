"""One session as a state machine: frames and time in, frames out. It has no sockets."""
