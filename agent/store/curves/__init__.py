"""Curves of stored readings, and the summaries of the log that they are made of."""
