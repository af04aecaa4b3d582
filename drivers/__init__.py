"""Drivers: bytes of a device in, readings out. Nothing here imports `agent`."""
