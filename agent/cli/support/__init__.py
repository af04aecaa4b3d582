"""Helpers that verbs share: access to the agent, output, tables, options."""
