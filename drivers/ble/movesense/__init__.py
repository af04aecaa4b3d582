"""Movesense sensors with the GATT sensor data firmware: frames (`frames.py`), profile and driver (`driver.py`)."""
