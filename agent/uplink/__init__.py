"""Uplink: one link a broker, with its connection, lanes, window and routes."""
