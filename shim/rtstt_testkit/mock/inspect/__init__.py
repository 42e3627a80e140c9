"""What happened on a session: its record, an explanation in words, and the check that a script was followed."""
