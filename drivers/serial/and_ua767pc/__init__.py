"""A&D UA-767PC blood pressure monitor."""
