"""The link between a driver and its BLE device: advertisements or a GATT connection."""
