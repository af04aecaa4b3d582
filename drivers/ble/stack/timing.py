"""Timing of the Bluetooth side: times and bounds, in seconds where nothing else is said; tests shorten them."""

from __future__ import annotations

from typing import NamedTuple


class BleTiming(NamedTuple):
    """Times and bounds of scans, connections and bonds."""

    call: float = 10.0  # one question to bluetoothd
    grace: float = 3.0  # for a service that starts, and its adapters, to be there
    connect: float = 20.0  # one connection with its services; an adapter out of slots shows only as this
    reach: float = 5.0  # of it, for the connection alone, where other devices are awaited
    undo: float = 3.0  # taking back a connection attempt
    disconnect: float = 5.0  # the real daemon takes about 2 s
    pair: float = 30.0
    slots: int = 5  # connections of one adapter: CSR has 5, Broadcom 7
    share: float = 60.0  # of a device that speaks all the time, where more of them do than there are slots
    fresh: float = 4.0  # an advertisement this old says nothing about now
    reappear: float = 8.0  # a device whose turn has come must show itself again in this time
    hold_off: float = 10.0  # after a device that only measures now and then hung up
    first_retry: float = 1.0  # pause after a failed connection; doubles
    last_retry: float = 30.0
    away: float = 45.0  # not seen for so long, then seen: worth a try at once
    good: float = 30.0  # a connection that held so long, or gave data, ends the row of failures
    scan_start: float = 5.0
    scan_stop: float = 5.0
    quiet: float = 60.0  # without one advertisement from anybody: a new scanner; doubles
    last_quiet: float = 900.0
    scan_retry: float = 1.0  # after a scan that could not start; doubles
    last_scan_retry: float = 30.0
    stuck: int = 5  # failures in a row that show that an adapter is stuck
    cycle_off: float = 1.0  # an adapter that is power cycled stays off for so long
    cycle: float = 10.0  # it must be back in this time
    first_cycle: float = 600.0  # between two power cycles; doubles
    last_cycle: float = 21600.0
    rssi_step: int = 5  # dB
    rssi_every: float = 30.0
    brief: float = 5.0  # a connection that a bonded device ends so soon, without a word, shows a lost bond
    first_renewal: float = 600.0  # between two bonds made anew; doubles
    last_renewal: float = 86400.0
