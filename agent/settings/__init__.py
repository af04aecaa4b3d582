"""YAML drops -> typed settings, each key with its origin; problems as data with file:line:column."""
