"""Microlife BP3GY1-2N: frames (`frames.py`), profile and driver (`driver.py`)."""
