"""Backup of one gateway: an archive of settings, state and log, and its restoration."""
