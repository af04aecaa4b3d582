DELETE FROM ledger WHERE keep_until > 0 AND keep_until < :now AND state NOT IN ('executing', 'accepted');
