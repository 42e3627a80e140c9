"""The commands of ``rtstt-shim`` that need nothing beyond the base install."""
