"""Inkbird's connected thermometers: values and driver."""
