"""Decoder of a GE or Datex-Ohmeda monitor: octets -> readings of the basic class, and waveforms."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import GOOD, UNCERTAIN, Faults, Reading, Reply
from gatepost.drivers.serial.ge_dri import records
from gatepost.drivers.serial.ge_dri.frames import FlagSplitter
from gatepost.drivers.value_groups import ValueGroup
from gatepost.drivers.waveforms import WaveformBlocks, WaveformChannel

SITES = {1: "art", 2: "cvp", 3: "pap", 4: "rap", 6: "lap", 7: "icp", 8: "abp"}  # labels of pressures
PLACES = {1: "esophagus", 2: "nasopharynx", 3: "tympanum", 4: "rectum", 5: "bladder", 6: "armpit", 7: "skin"}
AGENTS = {2: "halothane", 3: "enflurane", 4: "isoflurane", 5: "desflurane", 6: "sevoflurane"}
MEASURING, OLD = 1 << 5, 1 << 8  # label of a cuff; old: for more than a minute
OLDER = "older-than-60s"
CUFF_STATES = ((1 << 3, "cuff-automatic"), (1 << 4, "cuff-stat"))
SOURCES = {  # of a heart rate
    **dict.fromkeys((1, 9), "ecg"), **dict.fromkeys((2, 3, 4, 5, 7, 8, 10, 11), "invasive"),
    **dict.fromkeys((6, 12), "pleth"),
}  # fmt: skip
OLD_OUTPUT, OLD_WEDGE = 1 << 0, 1 << 1  # label of a cardiac output
BY_IMPEDANCE = 2  # label of CO2: where its respiration rate comes from
_GAS = {2: "calibrating", 3: "measurement-off"}
# Bits of the status of a group.
STATES: dict[str, dict[int, str]] = {
    "ecg": {2: "asystole", 7: "noise", 8: "artifact", 9: "learning"},
    "p": {2: "zeroing"},
    "co2": {2: "apnea", 3: "calibrating", 4: "zeroing", 5: "occlusion", 6: "air-leak"},
    "flow_vol": {
        2: "disconnected", 3: "calibrating", 4: "zeroing", 5: "obstruction", 6: "leak", 7: "measurement-off",
    },
    "o2": _GAS, "n2o": _GAS, "aa": _GAS,
}  # fmt: skip
DOUBTS = frozenset(word for words in STATES.values() for word in words.values()) - {"asystole", "apnea"}
_CUFF = {"sys": "systolic", "dia": "diastolic", "mean": "mean", "hr": "heart_rate"}
_PRESSURES = {"systolic": "mm[Hg]", "diastolic": "mm[Hg]", "mean": "mm[Hg]", "heart_rate": "/min"}
# Group: metric, its values, their units.
PLAIN: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "spo2": (
        "pulse_oximetry",
        {"spo2": "spo2", "pr": "heart_rate", "ir_amp": "ir_amplitude"},
        {"spo2": "%", "heart_rate": "/min", "ir_amplitude": "%"},
    ),
    "co2": (
        "capnography",
        {"et": "et_co2", "fi": "fi_co2", "rr": "respiration_rate"},
        {"et_co2": "%", "fi_co2": "%", "respiration_rate": "/min"},
    ),
    "flow_vol": (
        "ventilation",
        {
            "rr": "respiration_rate", "ppeak": "peak_pressure", "peep": "peep", "pplat": "plateau_pressure",
            "tv_insp": "tidal_volume_inspired", "tv_exp": "tidal_volume_expired", "compliance": "compliance",
            "mv_exp": "minute_volume",
        },
        {
            "respiration_rate": "/min", "peak_pressure": "cm[H2O]", "peep": "cm[H2O]", "plateau_pressure": "cm[H2O]",
            "tidal_volume_inspired": "mL", "tidal_volume_expired": "mL", "compliance": "mL/cm[H2O]",
            "minute_volume": "L/min",
        },
    ),
    "co_wedge": (
        "cardiac_output",
        {"co": "cardiac_output", "pcwp": "wedge_pressure", "blood_temp": "blood_temperature"},
        {"cardiac_output": "mL/min", "wedge_pressure": "mm[Hg]", "blood_temperature": "Cel"},
    ),
    "nmt": ("neuromuscular", {"t1": "twitch_1", "tratio": "tof_ratio"}, {"twitch_1": "%", "tof_ratio": "%"}),
    "svo2": ("reading", {"svo2": "svo2"}, {"svo2": "%"}),
}  # fmt: skip
GASES = {
    "o2": {"et": "o2_et", "fi": "o2_fi"}, "n2o": {"et": "n2o_et", "fi": "n2o_fi"},
    "aa": {"et": "agent_et", "fi": "agent_fi", "mac_sum": "mac"},
}  # fmt: skip
# Waveforms by their type: name of the option, metric, channel, samples a second, unit, scale.
WAVES: dict[int, tuple[str, str, str, int, str, float]] = {
    1: ("ecg1", "ecg", "ecg1", 300, "uV", 1.0), 2: ("ecg2", "ecg", "ecg2", 300, "uV", 1.0),
    3: ("ecg3", "ecg", "ecg3", 300, "uV", 1.0),
    **{3 + i: (f"p{i}", "invasive_pressure", f"p{i}", 100, "mm[Hg]", 0.01) for i in range(1, 5)},
    8: ("pleth", "pulse_oximetry", "pleth", 100, "{raw}", 1.0), 9: ("co2", "capnography", "co2", 25, "%", 0.01),
    13: ("airway_pressure", "ventilation", "airway_pressure", 25, "cm[H2O]", 0.1),
    14: ("flow", "ventilation", "flow", 25, "L/min", 0.1),
    15: ("respiration", "respiration", "respiration", 25, "{raw}", 1.0),
}  # fmt: skip
GAP, LEAD_OFF = 1, 8  # status of a waveform


class DriDecoder:
    """Gives what exists and is active; a cuff's measurement once."""

    def __init__(self) -> None:
        self.faults = Faults()
        self._splitter = FlagSplitter(self.faults)
        self._cuff: Any = None  # the measurement that was reported
        self._blocks: dict[int, WaveformBlocks] = {}

    def feed(self, data: bytes) -> list[Reading | Reply]:
        out: list[Reading | Reply] = []
        for octets in self._splitter.feed(data):
            try:
                record = records.decode_record(octets)
            except FrameError as wrong:
                self.faults.add(wrong.kind.replace("_", "-"), "a record that is not whole")
                continue
            for values in record.physiological:
                out += self._values(values)
            for wave in record.waveforms:
                out += self._wave(wave)
            out.append(Reply("ge-dri", {"main_type": record.main_type, "level": record.level}))
        return out

    def _values(self, found: records.PhysiologicalData) -> list[Reading]:
        time = _iso(found.time)
        groups = {name: group for name, group in found.groups.items() if group.exists and group.active}
        out = self._heart(groups, time)
        for name, group in groups.items():
            if name in PLAIN:
                metric, names, units = PLAIN[name]
                impedance = name == "co2" and group.label & 7 == BY_IMPEDANCE
                source = ("source-impedance",) if impedance else ("source-pleth",) if name == "spo2" else ()
                out.append(_reading(metric, group, names, units, time, (*source, *_states(name, group))))
            elif name[0] == "p":
                site = f"site-{SITES.get(group.label, 'other')}"
                flags = (site, *_states("p", group))
                out.append(_reading("invasive_pressure", group, _CUFF, _PRESSURES, time, flags, name))
            elif name[0] == "t":
                place = (f"site-{PLACES[group.label]}",) if group.label in PLACES else ()
                names, units = {"temp": "temperature"}, {"temperature": "Cel"}
                out.append(_reading("body_temperature", group, names, units, time, place, name))
        return [*out, *self._gases(groups, time), *self._pressure(groups.get("nibp"), time)]

    def _heart(self, groups: dict[str, records.ValueSet], time: str | None) -> list[Reading]:
        ecg = groups.get("ecg")
        if ecg is None:
            return []
        source, states = SOURCES.get(ecg.status >> 3 & 0x0F, ""), _states("ecg", ecg)
        flags = (*((f"source-{source}",) if source else ()), *(states if source in ("", "ecg") else ()))
        out = [_reading("heart_rate", ecg, {"hr": "heart_rate"}, {"heart_rate": "/min"}, time, flags)]
        if ecg.values["imp_rr"] is not None:
            names, units = {"imp_rr": "respiration_rate"}, {"respiration_rate": "/min"}
            out.append(_reading("respiration", ecg, names, units, time, ("source-impedance",)))
        segments = {name: name for name in ("st1", "st2", "st3") if ecg.values[name] is not None}
        if segments:
            out.append(_reading("reading", ecg, segments, dict.fromkeys(segments, "mm"), time, states))
        return out

    def _gases(self, groups: dict[str, records.ValueSet], time: str | None) -> list[Reading]:
        present = [name for name in GASES if name in groups]
        if not present:
            return []
        agent = AGENTS.get(groups["aa"].label) if "aa" in groups else None
        states = tuple(dict.fromkeys(word for name in present for word in _states(name, groups[name])))
        whole = ValueGroup("anaesthetic_gas", ((f"agent-{agent}",) if agent else ()) + states, time)
        for name in present:
            for value, called in GASES[name].items():
                _add(whole, groups[name], value, called, "" if called == "mac" else "%")
        return [_doubted(whole.reading())]

    def _pressure(self, cuff: records.ValueSet | None, time: str | None) -> list[Reading]:
        """It stays in every record until the next one: reported when it changes, or when a measurement has ended."""
        if cuff is None or cuff.label & MEASURING:
            self._cuff = None if cuff is not None else self._cuff
            return []
        if self._cuff == cuff.values or all(value is None for value in cuff.values.values()):
            return []
        self._cuff = cuff.values
        flags = ("source-nibp", *(word for bit, word in CUFF_STATES if cuff.label & bit))
        if cuff.label & OLD:  # when the monitor was already at work before the link
            return [_reading("blood_pressure", cuff, _CUFF, _PRESSURES, None, (*flags, OLDER))]
        return [_reading("blood_pressure", cuff, _CUFF, _PRESSURES, time, flags)]

    def _wave(self, wave: records.WaveformData) -> list[Reading]:
        if wave.kind not in WAVES:
            return []
        _, metric, channel, rate, unit, scale = WAVES[wave.kind]
        blocks = self._blocks.get(wave.kind)
        if blocks is None:
            blocks = self._blocks[wave.kind] = WaveformBlocks(metric, rate, (WaveformChannel(channel, unit, scale),))
        out = blocks.gap(None) if wave.status & GAP else []
        off = wave.status & LEAD_OFF
        why = "lead-off" if off else "invalid"
        for sample in wave.samples:
            if off:
                blocks.note(f"{channel}:{why}")
            out += blocks.add((why if sample is None else sample,))
        return out


def _add(group: ValueGroup, found: records.ValueSet, value: str, name: str, unit: str) -> None:
    group.add(name, found.values[value], unit, found.missing.get(value, ""))


def _states(group: str, found: records.ValueSet) -> tuple[str, ...]:
    if group == "co_wedge":
        told = ((OLD_OUTPUT, "cardiac_output"), (OLD_WEDGE, "wedge_pressure"))
        return tuple(f"{name}:{OLDER}" for bit, name in told if found.label & bit)
    return tuple(word for bit, word in STATES.get(group, {}).items() if found.status >> bit & 1)


def _doubted(reading: Reading) -> Reading:
    if reading.quality == GOOD and any(flag in DOUBTS or flag.endswith(f":{OLDER}") for flag in reading.flags):
        reading.quality = UNCERTAIN
    return reading


def _reading(
    metric: str,
    found: records.ValueSet,
    names: dict[str, str],
    units: dict[str, str],
    time: str | None,
    flags: tuple[str, ...] = (),
    channel: str = "",
) -> Reading:
    group = ValueGroup(metric, flags, time)
    if channel:
        group.values["channel"] = channel
    for value, name in names.items():
        _add(group, found, value, name, units[name])
    return _doubted(group.reading())


def _iso(seconds: int) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat() if seconds else None
