"""Which clients are affected: tables of the known ones, and scanners of environments, packages and folders."""
