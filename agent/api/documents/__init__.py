"""Interfaces of the five documents: their routes and shapes, translated onto the handlers; loaded when asked for."""
