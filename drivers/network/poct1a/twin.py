"""Simulated DCA Vantage: hello, status, its new results when it is asked for them, then each as it arises."""

from __future__ import annotations

import random
import re
from collections import deque

DECLARATION = '<?xml version="1.0" encoding="utf-8"?>'
RESEND = 5  # ticks without an answer after which a message is sent again
HELLO = (
    '<DEV><DEV.device_id V="SIEM^DCA Vantage^S000000"/><DEV.vendor_id V="SIEM"/><DEV.model_id V="DCA Vantage"/>'
    '<DEV.serial_id V="S000000"/><DEV.sw_version V="4.4.0.0"/><DCP><DCP.application_timeout V="60"/></DCP><DSC>'
    '<DSC.connection_profile_cd V="SA"/><DSC.directives_supported_cd V="START_CONTINUOUS"/>'
    '<DSC.directives_supported_cd V="FORCE_NORMAL"/><DSC.max_message_sz V="16000"/></DSC></DEV>'
)


class PoctTwin:
    """One message at a time, as the profile SA wants; each is sent again until it is acknowledged."""

    interval = 1.0

    def __init__(self, seed: int = 0, results: int = 3) -> None:
        self.acknowledged = 0  # results that it may forget
        self._rng = random.Random(seed)  # noqa: S311  # a simulation
        self._number = 10_000
        self._sequence = 0
        self._waiting: deque[tuple[str, str]] = deque()  # kind and body
        self._sent: tuple[int, str, bytes] | None = None
        self._ticks = 0
        self._since = 0
        self._memory = results
        self._continuous = False
        self._waiting.append(("HEL.R01", HELLO))
        status = f'<DST><DST.new_observations_qty V="{results}"/><DST.condition_cd V="R"/></DST>'
        self._waiting.append(("DST.R01", status))

    def tick(self) -> bytes:
        self._ticks += 1
        if self._continuous and self._ticks % 10 == 0 and len(self._waiting) < 20:
            self._waiting.append(("OBS.R01", self._result()))
        if self._sent is not None:
            self._since += 1
            return self._sent[2] if self._since % RESEND == 0 else b""
        return self._next()

    def hear(self, data: bytes) -> bytes:
        out = b""
        acknowledged = re.search(rb'type_cd V="(A[AE])"/><ACK.ack_control_id V="(\d+)"', data)
        if acknowledged and self._sent is not None and int(acknowledged[2]) == self._sent[0]:
            if acknowledged[1] == b"AA":
                self.acknowledged += self._sent[1] == "OBS.R01"
                self._sent = None
            out += self._next()
        if b'"ROBS"' in data:
            self._waiting.extend(("OBS.R01", self._result()) for _ in range(self._memory))
            self._waiting.append(("EOT.R01", '<EOT><EOT.topic_cd V="OBS"/></EOT>'))
            self._memory = 0
            out += self._next()
        if b'"START_CONTINUOUS"' in data:
            self._continuous = True
        return out

    def _next(self) -> bytes:
        if self._sent is not None or not self._waiting:
            return b""
        kind, body = self._waiting.popleft()
        self._number += 1
        head = (
            f'<HDR><HDR.message_type V="{kind}"/><HDR.control_id V="{self._number}"/><HDR.version_id V="POCT1"/>'
            f'<HDR.creation_dttm V="2026-11-20T10:30:00-08:00"/></HDR>'
        )
        octets = f"{DECLARATION}<{kind}>{head}{body}</{kind}>".encode()
        self._since = 0
        if kind != "EOT.R01":
            self._sent = (self._number, kind, octets)
        return octets

    def _result(self) -> str:
        self._sequence += 1
        value = self._rng.randint(30, 90)
        role = "LQC" if self._sequence % 5 == 4 else "OBS"
        inner = (
            f'<OBS><OBS.observation_id V="HbA1c" SN="SIEM"/><OBS.value V="{value}" U="mmol/mol"/>'
            f'<OBS.method_cd V="M"/><OBS.interpretation_cd V="{"H" if value > 53 else "N"}"/></OBS>'
            f'<OBS><OBS.observation_id V="eAG" SN="SIEM"/><OBS.value V="{value * 2 + 40}" U="mg/dL"/>'
            f'<OBS.method_cd V="C"/></OBS>'
        )
        return (
            f'<SVC><SVC.role_cd V="{role}"/><SVC.observation_dttm V="2026-11-20T10:{self._sequence % 60:02}:00"/>'
            f'<SVC.sequence_nbr V="{self._sequence}"/><PT><PT.patient_id V="1"/>{inner}</PT></SVC>'
        )
