"""Choice of the MQTT version, where the settings leave it open."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from gatepost.agent.core.errors import ConnectFailed

Version = Literal["5", "3.1.1"]
VAGUE_LIMIT = 2  # hang-ups of one address before CONNACK, until the older version is tried there


class ProtocolChoice:
    """Protocol choice: `auto` starts with 5. A broker that says it does not know 5 is spoken to in 3.1.1 from then on.

    One that only hangs up may as well be starting up: 3.1.1 is tried after two such hang-ups of one address, and holds
    for good when the broker hung up on 5 again although 3.1.1 had worked before.
    """

    def __init__(self, setting: Literal["auto", "5", "3.1.1"] = "auto") -> None:
        self._automatic = setting == "auto"
        self.current: Version = "3.1.1" if setting == "3.1.1" else "5"
        self._certain = False
        self._hung_up: Counter[str] = Counter()  # by address
        self._older_works = False

    def failed(self, failure: ConnectFailed, address: str = "") -> bool:
        """Judge a failed attempt; true when `current` is now another one, which is worth trying there at once."""
        if not self._automatic or failure.retry != "protocol":
            return False
        if self.current == "3.1.1":
            self._certain = self._older_works = False
            self._hung_up.clear()
            self.current = "5"
            return failure.code is not None  # a mere hang-up on both: not a matter of versions, so back off
        if failure.code is not None:
            self._certain = True
        else:
            self._hung_up[address] += 1
            if self._hung_up[address] < VAGUE_LIMIT and not self._older_works:
                return False
            self._certain = self._older_works
        self.current = "3.1.1"
        return True

    def succeeded(self) -> None:
        """An attempt with `current` worked. To be called when that connection has ended and the next one is due."""
        if not self._automatic:
            return
        self._hung_up.clear()
        self._older_works = self.current == "3.1.1"
        if not self._certain:
            self.current = "5"
