"""Simulated monitor that sends HL7 results each second and waits for each acknowledgement."""

from __future__ import annotations

import random

RESEND = 10  # ticks after which what was not acknowledged is sent again
_CODES = (
    (147842, "MDC_ECG_HEART_RATE", 264864, "MDC_DIM_BEAT_PER_MIN", 72, 3),
    (150456, "MDC_PULS_OXIM_SAT_O2", 262688, "MDC_DIM_PERCENT", 97, 1),
    (149530, "MDC_PULS_OXIM_PULS_RATE", 264864, "MDC_DIM_BEAT_PER_MIN", 72, 3),
    (151562, "MDC_RESP_RATE", 264928, "MDC_DIM_RESP_PER_MIN", 14, 2),
    (150033, "MDC_PRESS_BLD_ART_SYS", 266016, "MDC_DIM_MMHG", 120, 5),
    (150034, "MDC_PRESS_BLD_ART_DIA", 266016, "MDC_DIM_MMHG", 78, 4),
    (150035, "MDC_PRESS_BLD_ART_MEAN", 266016, "MDC_DIM_MMHG", 92, 4),
)


class Hl7Twin:
    """Monitor at one bed; its messages are numbered from `first` on. `acknowledged` are those
    that it may forget."""

    interval = 1.0

    def __init__(self, bed: str = "ICU^^5", seed: int = 0, first: int = 0) -> None:
        self.acknowledged: list[int] = []
        self.refused: list[str] = []  # other answers than AA and CA
        self._bed = bed
        self._rng = random.Random(seed)  # noqa: S311  # a simulation
        self._number = first
        self._sent = b""  # not acknowledged yet
        self._waited = 0

    def tick(self) -> bytes:
        if self._sent:
            self._waited += 1
            if self._waited % RESEND:
                return b""
            return self._sent
        self._number += 1
        self._waited = 0
        self._sent = self._message()
        return self._sent

    def hear(self, data: bytes) -> bytes:
        for part in data.split(b"\rMSA|")[1:]:
            code, _, rest = part.partition(b"|")
            control = rest.split(b"\r")[0].split(b"|")[0]
            if code in (b"AA", b"CA") and control == str(self._number).encode() and self._sent:
                self.acknowledged.append(self._number)
                self._sent = b""
            elif code not in (b"AA", b"CA"):
                self.refused.append(code.decode("latin-1"))
        return b""

    def _message(self) -> bytes:
        second = self._number
        time = f"2026112010{second // 60 % 60:02}{second % 60:02}"
        lines = [
            f"MSH|^~\\&|TWIN^0011223344556677^EUI-64|GATEPOST|||{time}||ORU^R01^ORU_R01|{self._number}|P|2.6|||AL|NE",
            "PID|||1^^^Hospital^PI",
            f"PV1||I|{self._bed}",
            f"OBR|1|{self._number}||182777000^monitoring of patient^SCT|||{time}",
        ]
        for at, (code, name, unit, unit_name, middle, spread) in enumerate(_CODES, 1):
            value = middle + self._rng.randint(-spread, spread)
            value = min(value, 100) if code == 150456 else value
            lines.append(f"OBX|{at}|NM|{code}^{name}^MDC|1.1.1.{code}|{value}|{unit}^{unit_name}^MDC|||||R|||{time}")
        return b"\x0b" + "\r".join(lines).encode("ascii") + b"\r\x1c\r"
