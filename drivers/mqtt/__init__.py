"""Devices that speak MQTT themselves, or that a broker carries."""
