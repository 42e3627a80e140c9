"""The folder that ``rtstt-shim run`` puts on PYTHONPATH: its modules are imported by their bare names there."""
