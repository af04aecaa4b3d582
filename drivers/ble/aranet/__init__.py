"""Aranet4 that is connected: values and history (`values.py`), profile and driver (`driver.py`)."""
