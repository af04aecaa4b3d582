"""Body scales with protocols of their makers: frames of each dialect (`frames.py`), driver (`driver.py`)."""
