"""Findings: what a client does wrong, from the records of its sessions.

    finding        the types: Finding, Evidence, Outcome, Observation
    clients        which sessions belong to one client, and how each of them ended
    reconnecting   checks of retries and pauses
    conduct        checks of single sessions
    reported       checks of what the program printed
    delivery       checks of the audio, with the audio ledger
    table          every finding with its check, meaning and fix

FINDINGS.md explains what each means and how other projects fixed it.
"""
