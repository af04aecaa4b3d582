"""GE and Datex-Ohmeda monitors by the Datex-Ohmeda record interface."""
