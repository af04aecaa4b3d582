"""Downloading records that a BLE device has stored, each once."""
