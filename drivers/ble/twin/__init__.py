"""Bluetooth without a radio: an emulated `org.bluez` on a private bus, and simulated peripherals.

    async with PrivateBus() as bus:                          # a dbus-daemon of our own, in a temporary folder
        async with Daemon(bus.address) as bluez:             # serves org.bluez with one adapter, hci0
            strap = bluez.place(HeartRateTwin())             # in the air; it advertises by itself
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address   # before bleak is first used in this event loop
            ...                                              # any BlueZ client: bleak, bluetoothctl, the agent
            strap.drop()                                     # the link is lost

- `bus.py` the private bus; `wire.py` objects on a bus; `daemon.py`, `adapter.py`, `device.py`, `link.py`, `gatt.py`,
  `bonding.py`, `agents.py` the emulated daemon; `air.py` one peripheral as the daemon reaches it, with its faults and
  its counters; `stage.py` all of it put up together, `console.py` orders to it from another process.
- `peripheral.py` the model of a peripheral, which knows nothing of a bus: services, values, what it does when it is
  written to, streams by `tick`, when it advertises.
- `devices/` the simulated devices, one file for each kind: `devices.catalogue.make("ble-glucose", seed)` is what a
  driver's `twin` gives. `python -m gatepost.drivers.ble.twin NAME ...` runs them as a process, as `gatepost simulate`
  does.

Only what runs the emulated daemon needs dbus-fast (it comes with bleak) and the program `dbus-daemon`.
"""
