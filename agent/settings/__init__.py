"""YAML drops -> typed settings, each key with its origin; problems as data with file:line:column."""

from gatepost.agent.settings.diff import Changes, changes
from gatepost.agent.settings.loading import Loaded, load
from gatepost.agent.settings.problem import Origin, Problem
from gatepost.agent.settings.secret import check_secrets, resolve_secret
from gatepost.agent.settings.watch import Watcher

__all__ = ["Changes", "Loaded", "Origin", "Problem", "Watcher", "changes", "check_secrets", "load", "resolve_secret"]
