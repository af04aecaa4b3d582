"""The serial port: opening, reading, writing, errors."""
