"""Formats of advertisements as data: `schema.py` what a format may say, `engine.py` what reads it, `catalogue.py` the
built-in ones (data/*.json) and those of the user."""
