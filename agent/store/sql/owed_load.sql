SELECT broker, urgent, lo, hi, crc FROM owed ORDER BY broker, urgent, lo
