"""Subcommands of ``rtstt-shim`` that need the test kit."""
