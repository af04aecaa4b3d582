"""Contec CMS50 pulse oximeters, protocols 5 and 7."""
