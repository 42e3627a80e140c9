"""The shim without its side effect: the URL rule, the patches, the warnings and the command line.

Importing this package does nothing; ``import rtstt_shim`` activates it.

PYTEST_DONT_REWRITE: pytest rewrites the packages of its plugins, and warns of those that are imported already.
"""
