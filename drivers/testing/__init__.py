"""Test kit for drivers, shipped for drivers of other packages too."""
