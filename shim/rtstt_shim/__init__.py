"""``import rtstt_shim`` at application start: realtime transcription sockets work again, and failures are seen."""
