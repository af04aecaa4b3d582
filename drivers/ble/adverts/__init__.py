"""Decoders of advertisements: one file for each format, sans-I/O.

- `formats.py` the table of formats, by service UUID and company id; `recognise` for a scan.
- `bthome.py` (its objects: `bthome_objects.py`), `ruuvi.py`, `atc.py`, `govee.py`, `mi_scale.py`, `eddystone.py`,
  `ibeacon.py`: `decode` gives the fields of one payload or raises FrameError, `interpret` the readings.
- `cipher.py` AES-CCM for those that encrypt; `decoded_advert.py` what `interpret` gives; `advert_history.py` earlier
  payloads; `decoder.py` advertisements -> readings, without repetitions.
"""
