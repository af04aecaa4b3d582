"""Glucose meters that speak ASTM E1381 / E1394."""
