"""Audio: formats, the buffer, the speech detector and the recognition of bundled recordings."""
