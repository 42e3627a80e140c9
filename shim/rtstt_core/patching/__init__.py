"""How the client libraries are patched: the table of targets, one module for each library, and the installation."""
