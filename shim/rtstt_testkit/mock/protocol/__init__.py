"""What is known of the endpoint, as tables and pure functions; PROTOCOL.md names the source of each fact."""
