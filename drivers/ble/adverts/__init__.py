"""Decoders of advertisements: one file for each format, sans-I/O.

- `formats.py` the table of formats, by service UUID and company id; `recognise` for a scan.
- `bthome.py` (its objects: `bthome_objects.py`), `ruuvi.py`, `atc.py`, `govee.py`, `mi_scale.py`, `eddystone.py`,
  `ibeacon.py`: `decode` gives the fields of one payload or raises FrameError, `interpret` what they mean.
- `cipher.py` AES-CCM for those that encrypt; `heard.py` what `interpret` gives; `memory.py` what was heard before;
  `decoder.py` advertisements -> readings, without repetitions.
"""
