"""Contec protocol V7: packets of the device -> readings and replies."""

from __future__ import annotations

from gatepost.drivers.reading import UNCERTAIN, Faults, Reading, Reply
from gatepost.drivers.serial.common.frame_sync import FrameTrust
from gatepost.drivers.serial.contec import v7_packets as v7
from gatepost.drivers.serial.contec.records import FRAME_RATE, PLETH, ContecDownload
from gatepost.drivers.serial.contec.v7_segments import RECORD, describe, oximetry
from gatepost.drivers.waveforms import WaveformBlocks

METRIC = "pulse_oximetry"
ABOUT_SEGMENTS = {v7.START_DATE: "start-date", v7.START_TIME: "start-time", v7.SEGMENTS: "segments"}


class Contec7Decoder:
    """Packets -> readings after two consistent ones in a row, and replies. Stored records go to `download`; `feed(b"")`
    gives a batch of those that are let through."""

    def __init__(self, waveform: bool = False, download: ContecDownload | None = None) -> None:
        self.faults = Faults()
        self._packets = v7.V7PacketReader(self.faults)
        self._download = download or ContecDownload()
        self._trust = FrameTrust(8, 4)  # 1/min and %: what may change within 1/60 s
        self._pleth = WaveformBlocks(METRIC, FRAME_RATE, PLETH) if waveform else None

    def feed(self, data: bytes) -> list[Reading | Reply]:
        if not data:
            return self._download.drain()
        out: list[Reading | Reply] = []
        stored = False
        for packet in self._packets.feed(data):
            if packet is None:
                self._trust.lose()
                stored |= self._download.listening
                self._download.damage()
                if self._pleth:
                    out += self._pleth.gap()
            elif packet.type == v7.LIVE:
                live = v7.decode_live(packet.data)
                if self._trust.judge(live.pulse_rate, live.spo2):
                    out.append(reading(live))
                    if self._pleth:
                        out += self._pleth.add((live.waveform,))
            elif packet.type in RECORD:
                stored = True
                self._download.add(packet.data, RECORD[packet.type])
            else:
                out.append(reply(packet))
        if stored:
            out.append(self._download.state())
        return out


def reading(live: v7.V7LiveData) -> Reading:
    """What one live packet says about the person."""
    why = _why(live)
    found = oximetry(live.spo2 or None, live.pulse_rate or None, live.pi_pct, why or "no-signal")
    if live.spo2_low:
        found.flags = (*found.flags, "spo2-low")
    if why and found.values:
        found.quality = UNCERTAIN
        if live.spo2 and live.pulse_rate:
            found.flags = (*found.flags, why)
    return found


def _why(live: v7.V7LiveData) -> str | None:
    if live.search_timeout or live.probe_error:
        return "no-finger"  # the probe is the clip itself: these units report a missing finger as an error of it
    return "searching" if live.searching else None


def reply(packet: v7.V7Packet) -> Reply:
    """Any packet that is neither live data nor stored records."""
    data = packet.data
    if packet.type == v7.FEEDBACK:
        return Reply("feedback", v7.feedback(data))
    if packet.type == v7.IDENTITY:
        return Reply("identity", {"id": data.decode("ascii", "replace").strip("\0 ")})
    if packet.type == v7.PI_SUPPORT:
        return Reply("pi-support", {"supported": data[0] == 0})
    if packet.type == v7.LENGTH:
        return Reply("length", v7.decode_length(data))
    if packet.type == v7.IDLE:
        return Reply("idle", {})
    if packet.type == v7.DISCONNECT:
        return Reply("disconnect", {"reason": data[0], "text": v7.REASONS.get(data[0], "unknown")})
    if packet.type in ABOUT_SEGMENTS:
        return Reply(ABOUT_SEGMENTS[packet.type], describe(packet.type, data) or {})
    return Reply("packet", {"type": packet.type, "data": list(data)})
