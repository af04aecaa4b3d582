"""Payload formats: one file each, pure. Stored readings and named moments in, MQTT messages out."""
