SELECT broker, urgent, lo, hi FROM owed ORDER BY broker, urgent, lo
