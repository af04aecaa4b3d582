"""Weighing scales: A&D, CAS, Mettler Toledo SICS."""
