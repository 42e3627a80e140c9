"""What happened on a session: the record, its explanation in words, and the check that a script was followed."""
