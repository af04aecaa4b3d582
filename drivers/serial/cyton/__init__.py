"""OpenBCI Cyton board."""
