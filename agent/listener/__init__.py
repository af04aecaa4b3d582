"""Devices that speak MQTT to the gateway: their messages are readings, acknowledged once they are on disk."""
