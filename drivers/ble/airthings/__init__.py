"""Airthings monitors of air and radon: values (`values.py`), CBOR (`cbor.py`), driver (`driver.py`)."""
