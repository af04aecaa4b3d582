"""Readings carried on a stick: given out where there is no network, and sent where there is one."""
