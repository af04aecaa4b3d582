"""Philips IntelliVue monitors by their Data Export protocol."""
