"""Fingertip oximeters with protocols of their makers: five dialects (`frames.py`), one driver (`driver.py`)."""
