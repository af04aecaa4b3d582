"""Admission of desired state: signature, gateway, version, expiry, settings; what does not hold is reported."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from gatepost.agent.core.clock import Clock
from gatepost.agent.core.errors import Unavailable
from gatepost.agent.core.token_bucket import TokenBucket
from gatepost.agent.fleet import signature
from gatepost.agent.fleet.document import (
    DesiredDocument,
    SignedDocument,
    WrongDocument,
    check_size,
    claimed_version,
    open_envelope,
    read_document,
)
from gatepost.agent.fleet.record import COPY, FILE, DesiredStatus
from gatepost.agent.fleet.reports import DesiredReports
from gatepost.agent.fleet.validation import Problems, SettingsValidation
from gatepost.agent.settings.current import CurrentSettings
from gatepost.agent.settings.model import Settings

CHECK_RATE, CHECK_BURST = 0.1, 30.0  # signatures a second: each is a process, and anybody at the broker may send some
MAX_WAITING = 8  # messages that wait to be judged, and as many to be turned away, of which the oldest go first


class AdmittedDocument(NamedTuple):
    """A document that may be tried, its hash, the key that signed it, and the settings that it was judged by."""

    document: DesiredDocument
    hash: str
    key: tuple[str, str]  # its name, and the public half
    settings: Settings


class _TurnedAway(NamedTuple):
    version: int | None
    hash: str
    status: DesiredStatus
    error: WrongDocument


class DocumentAdmission:
    """Admission of one message after the other: `take` puts by what may be a document, at any time; `judge_one` judges.
    `waiting`: the document that was admitted and is not tried yet. What comes while MAX_WAITING wait is left out, and
    `ask_again` is called once they are judged."""

    def __init__(
        self, current: CurrentSettings, reports: DesiredReports, validation: SettingsValidation, clock: Clock
    ) -> None:
        self.waiting: AdmittedDocument | None = None
        self.ask_again: Callable[[], None] = lambda: None
        self._left_out = False
        self._current = current
        self._reports = reports
        self._validation = validation
        self._clock = clock
        self._is_signed = signature.is_signed
        self._inbox: deque[SignedDocument] = deque()
        self._turned_away: deque[_TurnedAway] = deque(maxlen=MAX_WAITING)
        self._checks = TokenBucket(CHECK_RATE, CHECK_BURST, clock.monotonic())

    @property
    def idle(self) -> bool:
        """Whether nothing is left to be judged."""
        return not self._inbox and not self._turned_away

    def take(self, message: bytes) -> None:
        """Only what names a key of this gateway and is small enough waits, and it keeps its place."""
        status: DesiredStatus = "unsigned"
        version, digest = None, ""
        try:
            envelope = open_envelope(message)
            version, digest = claimed_version(envelope.payload), envelope.hash
            if not self._is_known(digest):
                status = "refused"
                check_size(envelope.payload)
                status = "unsigned"
                self._key(envelope.key_id)
        except WrongDocument as error:
            self._turned_away.append(_TurnedAway(version, digest, status, error))
            return
        if envelope in self._inbox:
            return
        if len(self._inbox) < MAX_WAITING:
            self._inbox.append(envelope)
        else:
            self._left_out = True

    async def judge_one(self) -> None:
        """One message: what is checked may take as long as a process needs. Raises StoreError, Unavailable."""
        if self._turned_away:
            await self._refuse(*self._turned_away.popleft())
        if not self._inbox:
            return
        await self._judge(self._inbox[0])
        self._inbox.popleft()
        if self._left_out and not self._inbox:
            self._left_out = False
            self.ask_again()

    async def _judge(self, envelope: SignedDocument) -> None:
        if self._is_known(envelope.hash):
            self._reports.again = True  # what became of it may not be known
            return
        version = claimed_version(envelope.payload)
        try:
            public = self._key(envelope.key_id)
            await self._check_signature(envelope, public)
        except WrongDocument as error:
            await self._refuse(version, envelope.hash, "unsigned", error)
            return
        try:
            await self._admit(read_document(envelope.payload), envelope.hash, (envelope.key_id, public))
        except WrongDocument as error:
            await self._refuse(version, envelope.hash, "refused", error)

    async def judge_again(self) -> AdmittedDocument | None:
        """The document that waits, when it may still be tried: its time may be over, and the settings others.
        Raises StoreError."""
        waiting = self.waiting
        if waiting is None:
            return None
        name, public = waiting.key
        try:
            if self._key(name) != public:
                raise _unknown_key()
        except WrongDocument as error:
            self.waiting = None
            await self._refuse(waiting.document.version, waiting.hash, "unsigned", error)
            return None
        settings = self._current.settings
        problems = self._terms(waiting.document)
        if not problems and settings is not waiting.settings:
            problems = await self._validation.problems(waiting.document.settings)
        if problems:
            report = self._reports.report(waiting.document, waiting.hash, "refused", problems)
            await self._reports.decide(report)
            self.waiting = None
            return None
        self.waiting = waiting._replace(settings=settings)
        return self.waiting

    def _is_known(self, digest: str) -> bool:
        return digest == self._reports.record.hash or (self.waiting is not None and digest == self.waiting.hash)

    def _key(self, name: str) -> str:
        """The public half. WrongDocument."""
        for key in self._current.settings.fleet.keys:
            if key.id == name:
                return key.ed25519
        raise _unknown_key()

    async def _check_signature(self, envelope: SignedDocument, public: str) -> None:
        """WrongDocument; Unavailable."""
        if self._checks.take(self._clock.monotonic()):
            raise Unavailable("documents come faster than their signatures are checked")
        if not await self._is_signed(public, envelope.payload, envelope.signature):
            raise WrongDocument("bad-signature", "the signature does not hold", "sign the payload as it is sent")

    async def _admit(self, document: DesiredDocument, digest: str, key: tuple[str, str]) -> None:
        """WrongDocument where it decides nothing."""
        reports, waiting = self._reports, self.waiting
        gateway = self._current.settings.gateway.id
        newest = max(reports.record.decided, waiting.document.version if waiting else 0)
        if reports.record.lost:
            hint = f"remove {FILE} and {COPY} from the state directory, then restart"
            raise WrongDocument("record-lost", "which versions were decided cannot be read any more", hint)
        if document.gateway_id != gateway:
            raise WrongDocument("wrong-gateway", "it is for another gateway", f"this one is {gateway}")
        if document.version <= newest:
            old = WrongDocument("old-version", f"version {newest} was decided already", "send a higher version")
            await self._refuse(document.version, digest, "stale", old)
            return
        settings = self._current.settings
        problems = self._terms(document) or await self._validation.problems(document.settings)
        if problems:
            await reports.decide(reports.report(document, digest, "refused", problems))
            return
        if waiting is not None:
            await reports.decide(reports.report(waiting.document, waiting.hash, "superseded"))
        self.waiting = AdmittedDocument(document, digest, key, settings)

    def _terms(self, document: DesiredDocument) -> Problems:
        """What speaks against it but its settings."""
        try:
            _ = document.within
            now = self._clock.now()
            if document.expired(now.wall) and now.synchronised:
                raise WrongDocument("expired", f"it was to be in force before {document.expires_at}")
        except WrongDocument as error:
            return [error.problem()]
        return []

    async def _refuse(self, version: int | None, digest: str, status: DesiredStatus, error: WrongDocument) -> None:
        """It decides nothing: told, and forgotten."""
        report = self._reports.report(None, digest, status, [error.problem()])
        await self._reports.tell_once(msgspec.structs.replace(report, version=version))


def _unknown_key() -> WrongDocument:
    return WrongDocument("unknown-key", "the key that signed it is not in fleet.keys", "see fleet.keys")
