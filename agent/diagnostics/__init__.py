"""Checks of agent, devices and box, each with a finding and what to do about it."""
