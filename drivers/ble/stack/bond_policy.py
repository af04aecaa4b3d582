"""Bond policy of one device: when to bond, and when to renew a bond that the device lost. No I/O.

The peripheral may lose its bond (a new battery, a second phone): the host then encrypts with a key that the other one
does not know, and every connection ends at once, or every read is refused. The cure is to forget the device, find it
again, and bond anew; once, and after that only with long pauses.
"""

from __future__ import annotations

from enum import Enum
from random import Random

from gatepost.drivers.backoff import Backoff
from gatepost.drivers.ble.stack.timing import BleTiming

# ATT errors that mean "not on such a link" (Core Specification, Vol 3, Part F, 3.4.1.1): authentication,
# authorization, encryption key size, encryption.
REFUSALS = frozenset({0x05, 0x08, 0x0C, 0x0F})
# Connections in a row that end at once, until the bond is taken for lost; what may have other reasons counts half.
BRIEF_ENDS = 2.0


class BondStep(Enum):
    """Next step of bonding."""

    NONE = "none"
    PAIR = "pair"
    RENEW = "renew"  # forget the device and its bond; pair at the next connection


class BondPolicy:
    """The policy of one device: `auto` bonds when the device asks for it, `always` at once, `never` not at all.

    `now` is any clock in seconds that does not go back.
    """

    def __init__(self, policy: str, has_passkey: bool, rng: Random, timing: BleTiming) -> None:
        self.policy = policy
        self._eager = policy == "always" or (has_passkey and policy != "never")
        self._timing = timing
        self._pauses = Backoff(rng, 2 * timing.first_renewal, timing.last_renewal)
        self._next_renewal = 0.0
        self._anew = False  # the bond was forgotten
        self._tried = False  # in this session
        self._brief = 0.0

    @property
    def allowed(self) -> bool:
        return self.policy != "never"

    def begin(self, paired: bool) -> BondStep:
        """A connection is there."""
        self._tried = False
        if paired or not (self._eager or self._anew):
            return BondStep.NONE
        self._tried = True
        return BondStep.PAIR

    def refused(self, paired: bool, now: float) -> BondStep:
        """A request was refused for want of security."""
        if self._tried or not self.allowed:
            return BondStep.NONE
        if paired:
            return self._renew(now)
        self._tried = True
        return BondStep.PAIR

    def ended(self, paired: bool, seconds: float, gave_data: bool, now: float, *, sure: bool = True) -> BondStep:
        """The device ended the connection (or prevented it: 0 s); `gave_data`: after it gave some. Not `sure`: the
        cause may be another one."""
        tried, self._tried = self._tried, False  # the next connection may end before it began
        if gave_data:
            self._brief = 0.0
            return BondStep.NONE
        if not paired or tried or not self.allowed or seconds > self._timing.brief:
            return BondStep.NONE
        self._brief += 1.0 if sure else 0.5
        return self._renew(now) if self._brief >= BRIEF_ENDS else BondStep.NONE

    def distrust(self, paired: bool, now: float) -> bool:
        """Cached data of the device seem wrong: True if BlueZ should forget them, and the bond with them."""
        if now < self._next_renewal or (paired and not self.allowed):
            return False
        self._next_renewal = now + self._pauses.next()
        self._anew |= paired
        return True

    def bonded(self) -> None:
        """Pairing succeeded."""
        self._anew = False
        self._brief = 0.0

    def _renew(self, now: float) -> BondStep:
        if now < self._next_renewal:
            return BondStep.NONE
        self._next_renewal = now + self._pauses.next()
        self._anew = True
        self._brief = 0.0
        return BondStep.RENEW
