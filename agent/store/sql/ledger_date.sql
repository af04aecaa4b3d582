-- Rows of a time when the clock was not synchronised are kept from the moment it is.
UPDATE ledger SET keep_until = :keep_until WHERE keep_until = 0;
