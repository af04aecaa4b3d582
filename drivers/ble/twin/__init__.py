"""Bluetooth without a radio: an emulated `org.bluez` on a private bus, and simulated peripherals.

    async with PrivateBus() as bus:                          # a dbus-daemon of our own, in a temporary folder
        async with TwinDaemon(bus.address) as bluez:             # serves org.bluez with one adapter, hci0
            strap = bluez.place(HeartRateTwin())             # in reach; it advertises by itself
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address   # before bleak is first used in this event loop
            ...                                              # any BlueZ client: bleak, bluetoothctl, the agent
            strap.drop()                                     # the link is lost

- `private_bus.py` the private bus; `dbus_objects.py` objects on a bus; `daemon.py`, `adapter.py`, `device.py`,
  `gatt.py`, `bonding.py`, `agents.py` the emulated daemon, `daemon_state.py` what these share; `hosted_peripheral.py`
  one peripheral as the daemon reaches it, with its faults and counters; `emulated_bluetooth.py` all of it in one piece,
  `console.py` orders to it from another process.
- `peripheral.py` the model of a peripheral, which knows nothing of a bus: services, values, what it does when it is
  written to, streams by `tick`, when it advertises.
- `devices/` the simulated devices, one file for each kind: `devices.catalogue.make("ble-glucose", seed)` is what a
  driver's `twin` gives. `python -m gatepost.drivers.ble.twin NAME ...` runs them as a process, as `gatepost simulate`
  does.

Only what runs the emulated daemon needs dbus-fast (it comes with bleak) and the program `dbus-daemon`.
"""
