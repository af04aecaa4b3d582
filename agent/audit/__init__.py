"""The audit log: append-only, hash-chained, without patient identifiers."""
