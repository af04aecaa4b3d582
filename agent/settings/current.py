"""Settings in force: what was read, what of it holds, and how the last reload ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatepost.agent.settings.loading import LoadedSettings
from gatepost.agent.settings.model import Settings
from gatepost.agent.settings.problem import Origin
from gatepost.agent.settings.problem import Path as Key


class CurrentSettings:
    """The settings in force, shared by all parts of the agent; only the applier replaces them.

    `last_reload` is {"applied", "changed", "problems", "at", "reason"}, None before the first one.
    """

    def __init__(self, loaded: LoadedSettings, settings: Settings) -> None:
        self.loaded = loaded
        self.settings = settings
        self.last_reload: dict[str, Any] | None = None

    @property
    def origins(self) -> Mapping[Key, Origin]:
        """Where each effective key was written."""
        return self.loaded.origins

    @property
    def last_good(self) -> bool:
        """The files could not be used since the start, and the settings that were applied before hold."""
        return self.loaded.settings is None

    @property
    def refused(self) -> bool:
        """The newest settings were not applied."""
        return self.last_reload is not None and not self.last_reload["applied"]

    def as_dict(self) -> dict[str, Any]:
        """`problems`: what keeps the files from being used, as they were read last."""
        problems = [str(problem) for problem in self.loaded.errors] if self.last_good else []
        if self.last_reload is not None and self.refused:
            problems = self.last_reload["problems"]
        return {
            "files": [str(path) for path in self.loaded.files],
            "last_good": self.last_good,
            "problems": problems,
            "reload": self.last_reload,
        }
