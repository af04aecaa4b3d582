"""Admission of desired state: signature, gateway, version, expiry, settings; what does not hold is reported."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
    claimed_version,
    open_envelope,
    read_document,
)
from gatepost.agent.fleet.record import DesiredStatus
from gatepost.agent.fleet.reports import DesiredReports
from gatepost.agent.fleet.validation import Problems, SettingsValidation
from gatepost.agent.settings.current import CurrentSettings

CHECK_RATE, CHECK_BURST = 0.1, 30.0  # signatures a second: each is a process, and anybody at the broker may send some


class AdmittedDocument(NamedTuple):
    """A document that may be tried, and its hash."""

    document: DesiredDocument
    hash: str


class DocumentAdmission:
    """Admission of one message after the other. `waiting`: the document that was admitted and is not tried yet."""

    def __init__(
        self,
        current: CurrentSettings,
        reports: DesiredReports,
        validation: SettingsValidation,
        clock: Clock,
        is_signed: Callable[[str, str, str], Awaitable[bool]] = signature.is_signed,
    ) -> None:
        self.waiting: AdmittedDocument | None = None
        self._current = current
        self._reports = reports
        self._validation = validation
        self._clock = clock
        self._is_signed = is_signed
        self._checks = TokenBucket(CHECK_RATE, CHECK_BURST, clock.monotonic())

    async def judge(self, message: bytes) -> None:
        """Raises StoreError, Unavailable."""
        try:
            envelope = open_envelope(message)
        except WrongDocument as error:
            await self._refuse(None, "", "unsigned", error)
            return
        record, waiting = self._reports.record, self.waiting
        if envelope.hash == record.hash or (waiting is not None and envelope.hash == waiting.hash):
            self._reports.again = True  # it is known: what became of it may not be
            return
        try:
            await self._check_signature(envelope)
        except WrongDocument as error:
            await self._refuse(claimed_version(envelope.payload), envelope.hash, "unsigned", error)
            return
        try:
            await self._admit(read_document(envelope.payload), envelope.hash)
        except WrongDocument as error:
            await self._refuse(claimed_version(envelope.payload), envelope.hash, "refused", error)

    async def _check_signature(self, envelope: SignedDocument) -> None:
        """WrongDocument; Unavailable."""
        keys = {key.id: key.ed25519 for key in self._current.settings.fleet.keys}
        public = keys.get(envelope.key_id)
        if public is None:
            raise WrongDocument("unknown-key", "the key that signed it is not in fleet.keys", "see fleet.keys")
        if self._checks.take(self._clock.monotonic()):
            raise Unavailable("documents come faster than their signatures are checked")
        if not await self._is_signed(public, envelope.payload, envelope.signature):
            raise WrongDocument("bad-signature", "the signature does not hold", "sign the payload as it is sent")

    async def _admit(self, document: DesiredDocument, digest: str) -> None:
        """WrongDocument where it decides nothing."""
        reports, waiting = self._reports, self.waiting
        gateway = self._current.settings.gateway.id
        newest = max(reports.record.decided, waiting.document.version if waiting else 0)
        if document.gateway_id != gateway:
            raise WrongDocument("wrong-gateway", "it is for another gateway", f"this one is {gateway}")
        if document.version <= newest:
            old = WrongDocument("old-version", f"version {newest} was decided already", "send a higher version")
            await self._refuse(document.version, digest, "stale", old)
            return
        problems = await self._problems(document)
        if problems:
            await reports.decide(reports.report(document, digest, "refused", problems))
            return
        if waiting is not None:
            await reports.decide(reports.report(waiting.document, waiting.hash, "superseded"))
        self.waiting = AdmittedDocument(document, digest)

    async def _problems(self, document: DesiredDocument) -> Problems:
        try:
            _ = document.within
            now = self._clock.now()
            if document.expired(now.wall) and now.synchronised:
                raise WrongDocument("expired", f"it was to be in force before {document.expires_at}")
        except WrongDocument as error:
            return [error.problem()]
        return await self._validation.problems(document.settings)

    async def _refuse(self, version: int | None, digest: str, status: DesiredStatus, error: WrongDocument) -> None:
        """It decides nothing: told, and forgotten."""
        report = self._reports.report(None, digest, status, [error.problem()])
        await self._reports.tell_once(msgspec.structs.replace(report, version=version))
