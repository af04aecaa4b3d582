"""`gatepost scan ble`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatepost.agent.cli.support.formatting import count, span
from gatepost.agent.cli.support.output import complain, say, say_json, table
from gatepost.agent.cli.support.progress_line import filled, progress, seconds_of
from gatepost.agent.cli.support.scan_drop import ScanDrop, finish, place
from gatepost.agent.cli.support.scan_known_ports import ConfiguredDevice, ConfiguredDevices, configured
from gatepost.agent.core.errors import GatepostError

if TYPE_CHECKING:
    from gatepost.drivers.ble.peripheral import ReceivedAdvert
    from gatepost.drivers.scan.adverts import SeenAdvert

CONNECTED = "connected to the agent: it does not advertise"
UNHEARD = "configured, not received in this scan"
PASSING = "changes its address: configure it by `name`, or by the address that its status tells once it is paired"
BROADCAST = "ble-advertisement"  # never connected
NEVER = 1 << 30


def run(
    duration: str,
    adapter: str | None,
    wanted: list[str],
    everything: bool,
    name: str | None,
    socket: Path | None,
    config: Path | None,
    json: bool,
) -> None:
    seconds = seconds_of(duration)
    known = configured(socket, config)
    path = None if name is None else place(name, config, known)
    for note in known.notes:
        complain(note)
    adverts = [advert for advert in _listen(seconds, adapter) if _is_wanted(advert, wanted)]
    seen = [(advert, _describe(advert), known.in_the_air(advert.address, advert.name)) for advert in adverts]
    shown = [each for each in seen if everything or each[1].driver or each[2] is not None]
    absent = [] if wanted else _absent(known, [each[2] for each in seen])
    drop = _drop(shown, known)
    if not json:
        _print(shown, absent, len(seen) - len(shown), seconds)
    drop_result = finish(drop, path, known, config, json)
    if json:
        devices = [_as_json(*each) for each in shown]
        away = [
            {**one.words, "address": one.address or None, "name": one.name, "what": _absence(one)} for one in absent
        ]
        others = len(seen) - len(shown)
        say_json({"seconds": seconds, "devices": devices, "not_heard": away, "others": others, **drop_result})


# -- listening


def _listen(seconds: float, adapter: str | None) -> list[ReceivedAdvert]:
    try:
        from gatepost.drivers.ble.stack.survey import survey
        from gatepost.drivers.ble.stack.timing import BleTiming
        from gatepost.drivers.link import LinkFailed
    except ImportError as error:
        raise GatepostError(f"Bluetooth needs {error.name}", "it comes with Gatepost on Linux") from None

    newest: dict[str, ReceivedAdvert] = {}
    timing = BleTiming(stuck=NEVER)  # a quiet place is no reason to switch an adapter off that others use

    async def look(tell: Callable[[str], None]) -> list[ReceivedAdvert]:
        def seen(advert: ReceivedAdvert) -> None:
            newest[advert.address] = advert
            tell(f"scanning: {count(len(newest), 'device')}, Ctrl-C ends it")

        task = asyncio.create_task(survey(seconds, adapter, on_seen=seen, timing=timing))
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, task.cancel)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                return await task
            return sorted(newest.values(), key=lambda advert: advert.rssi or -999, reverse=True)
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    try:
        with progress("listening") as tell:
            return asyncio.run(look(tell))
    except LinkFailed as failed:
        raise GatepostError(failed.message, failed.hint, failed.reason.value) from None
    except ImportError as error:  # bleak and its kin are loaded with the first scan
        raise GatepostError(f"Bluetooth needs {error.name}", "it comes with Gatepost on Linux") from None


def _is_wanted(advert: ReceivedAdvert, wanted: list[str]) -> bool:
    from gatepost.drivers.ble.stack.device_filter import DeviceFilter

    if not wanted:
        return True
    names = [DeviceFilter.of(None, one) for one in wanted]
    addresses = [DeviceFilter.of(one, None) for one in wanted]
    return any(one.matches(advert.address, "", advert.name) for one in (*names, *addresses))


def _describe(advert: ReceivedAdvert) -> SeenAdvert:
    from gatepost.drivers.driver import Registry
    from gatepost.drivers.scan.adverts import describe

    seen = describe(advert, Registry.installed())
    return seen._replace(what=f"{seen.what}; {PASSING}") if advert.passing and seen.driver else seen


# -- telling


def _print(
    shown: list[tuple[ReceivedAdvert, SeenAdvert, ConfiguredDevice | None]],
    absent: list[ConfiguredDevice],
    others: int,
    seconds: float,
) -> None:
    if shown or absent:
        rows = [
            (advert.address, advert.name, advert.rssi, seen.driver, seen.what, device and str(device))
            for advert, seen, device in shown
        ]
        rows += [(one.address, one.name, None, one.driver, _absence(one), str(one)) for one in absent]
        columns, cells = filled(("address", "name", "rssi", "driver", "what", "configured"), rows)
        table(columns, cells, below=[name for name in ("what", "configured", "name") if name in columns])
    else:
        say(f"no supported device advertised within {span(seconds)}")
        say("cuffs, scales and meters advertise after a measurement or when a key is pressed")
    if others:
        say(f"{count(others, 'other device')} without a driver; --all lists them")


def _as_json(advert: ReceivedAdvert, seen: SeenAdvert, device: ConfiguredDevice | None) -> dict[str, Any]:
    return {
        "address": advert.address,
        "name": advert.name,
        "rssi": advert.rssi,
        "what": seen.what,
        "services": list(advert.services),
        "changes_address": advert.passing,
        "driver": seen.driver,
        "options": seen.options,
        "needs": seen.needs or None,
        "configured": None if device is None else device.words,
    }


def _absent(known: ConfiguredDevices, matched: list[ConfiguredDevice | None]) -> list[ConfiguredDevice]:
    """Configured, and not heard: what is connected does not advertise."""
    there = {one.id for one in matched if one is not None}
    return [one for one in known.devices if (one.address or one.name) and one.id not in there]


def _absence(one: ConfiguredDevice) -> str:
    return CONNECTED if one.status == "online" and one.driver != BROADCAST else UNHEARD


def _drop(
    shown: list[tuple[ReceivedAdvert, SeenAdvert, ConfiguredDevice | None]], known: ConfiguredDevices
) -> ScanDrop:
    from gatepost.drivers.scan.naming import device_id

    devices: dict[str, dict[str, Any]] = {}
    remarks = ["Found by `gatepost scan ble`: remove what is not yours, rename as you like."]
    for advert, seen, device in shown:
        if seen.driver is None or device is not None:
            continue
        last = advert.address.replace(":", "")[-4:]
        base = advert.name or seen.options.get("format") or seen.driver
        name = device_id((base, last), {*known.ids, *devices})
        devices[name] = {"driver": seen.driver}
        devices[name] |= {"name": advert.name} if advert.passing and advert.name else {"address": advert.address}
        if seen.options:
            devices[name]["options"] = seen.options
        if seen.needs:
            remarks.append(f"{name} is encrypted: add its `{seen.needs}` under options.")
    return ScanDrop(devices, remarks)
