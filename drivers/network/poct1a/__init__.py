"""Point-of-care analysers that speak POCT1-A."""
