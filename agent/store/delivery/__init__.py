"""Delivery of the log to brokers: the position of each, and the account of what it acknowledged."""
