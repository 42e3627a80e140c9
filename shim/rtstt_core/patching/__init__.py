"""The patches of client libraries: the table of targets, one module for each library, and the installation."""
