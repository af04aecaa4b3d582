"""The Bluetooth stack: BlueZ over D-Bus, adapters, scanner, slots, bonding."""
