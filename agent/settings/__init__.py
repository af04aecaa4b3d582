"""YAML drops -> typed settings, each key with its origin; problems as data with file:line:column."""

from agent.settings.loading import Loaded, load
from agent.settings.problem import Origin, Problem
from agent.settings.secret import check_secrets, resolve_secret
from agent.settings.watch import Watcher

__all__ = ["Loaded", "Origin", "Problem", "Watcher", "check_secrets", "load", "resolve_secret"]
