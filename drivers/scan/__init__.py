"""Search for devices and the drivers that fit them, for `gatepost scan`.

- `adverts.py` one BLE advertisement -> what it is, its driver.
- `candidates.py` the serial drivers by line settings; `judge.py` octets -> which of them understands them; `guess.py`
  lines of text -> options of the driver `lines`. All sans-I/O.
- `ports.py` which ports and 1-wire sensors this machine has; `ear.py` an open port; `hearing.py` one port, from its
  opening to the verdict.
- `naming.py` names for devices that were found.
"""
