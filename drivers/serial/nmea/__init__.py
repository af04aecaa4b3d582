"""NMEA 0183 talkers."""
