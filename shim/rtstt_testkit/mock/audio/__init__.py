"""Audio: formats, the buffer of what was received, speech detection, and recognition of the bundled recordings."""
