"""The arguments and the help of the commands that need an extra.

These modules import the standard library alone, so that ``--help`` works in a base install.
"""
