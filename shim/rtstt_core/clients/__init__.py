"""Which published clients are affected: the table, and what is installed here."""
