"""What the mock answers, and what goes wrong: scripts, faults, and the files they are read from."""
