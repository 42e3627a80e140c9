"""The facts of the protocol, as tables and pure functions; PROTOCOL.md gives the evidence of each."""
