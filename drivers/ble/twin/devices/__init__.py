"""Simulated BLE devices, one file for each kind; `catalogue.py` knows them by the names of their drivers."""
