"""Viatom, Wellue and Lepu devices: rings that measure oxygen (`o2_driver.py`), cuffs whose stored file is read
(`bp2_driver.py`), and the frames that they share."""
