"""The commands of ``rtstt-shim`` that need an extra: their work here, their arguments and help in `arguments`."""
