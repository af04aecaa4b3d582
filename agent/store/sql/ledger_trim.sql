DELETE FROM ledger WHERE state NOT IN ('executing', 'accepted')
  AND id IN (SELECT id FROM ledger ORDER BY recorded DESC LIMIT -1 OFFSET :rows);
