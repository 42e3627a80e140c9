"""Scripts: what the mock answers, the faults it applies, and the files that scripts are read from."""
