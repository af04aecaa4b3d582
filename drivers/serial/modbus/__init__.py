"""Modbus RTU devices."""
