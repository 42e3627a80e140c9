"""What happened in a session: record, timing, explanation, findings, audio ledger, and the check of a script."""
