"""Pulse oximeters that print ASCII lines."""
