"""Serial port: opening, reading, writing, errors."""
