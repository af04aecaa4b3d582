"""YAML drops -> typed settings, each key with its origin; problems as data with file:line:column."""

from gatepost.agent.settings.diff import SettingsDiff, changes
from gatepost.agent.settings.loading import LoadedSettings, load
from gatepost.agent.settings.problem import Origin, Problem
from gatepost.agent.settings.secret import check_secrets, resolve_secret
from gatepost.agent.settings.watch import SettingsWatcher

__all__ = [
    "LoadedSettings",
    "Origin",
    "Problem",
    "SettingsDiff",
    "SettingsWatcher",
    "changes",
    "check_secrets",
    "load",
    "resolve_secret",
]
