"""YAML drops -> typed settings, each key with its origin; problems as data with file:line:column."""

from agent.settings.change import Changes, changes
from agent.settings.loading import Loaded, load
from agent.settings.problem import Origin, Problem
from agent.settings.secret import check_secrets, resolve_secret
from agent.settings.watch import Watcher

__all__ = ["Changes", "Loaded", "Origin", "Problem", "Watcher", "changes", "check_secrets", "load", "resolve_secret"]
