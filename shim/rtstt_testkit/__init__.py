"""Test kit for realtime speech-to-text clients; importing it never activates the shim."""
