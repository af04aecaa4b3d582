"""Kills -9 of the agent at random moments of desired state; then what the disk and the broker say is judged.

By hand: `python -m tests.desired.kills --kills 100`. A test runs a few.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec
import yaml

from gatepost.agent.fleet.record import FleetRecord, read_record
from tests.desired.signing import GATEWAY, FleetSigner
from tests.integration.rig import Agent, agent, settings_for
from tests.support.waiting import until
from tests.uplink.broker import Mosquitto, running
from tests.uplink.gateway import Listener, listening

ROOT = f"gateways/{GATEWAY}"
FINAL = ("applied", "refused", "reverted", "superseded")
WITHIN = "2s"
KILL_WITHIN = 1.5  # seconds after a document was sent
EVERY_OTHER_START = 4  # one kill of so many comes while the agent starts
LONG = 60.0
BAD_EVERY = 5  # one document of so many is not well: it waits for a word that nobody says


class KillRun:
    """One run. `wrong` tells what did not hold."""

    def __init__(self, box: Agent, listener: Listener, seed: int) -> None:
        self.wrong: list[str] = []
        self.decided: set[int] = set()
        self.killed: Counter[str] = Counter()
        self._box = box
        self._listener = listener
        self._rng = random.Random(seed)
        self._signer = FleetSigner()
        self._version = 0
        self._document = b""
        self._answered = 0
        self._state = box.state

    @property
    def record(self) -> FleetRecord:
        return read_record(self._state)

    async def run(self, kills: int) -> None:
        answering = asyncio.create_task(self._answer())
        try:
            for kill in range(kills):
                await self._box.start()
                if kill % EVERY_OTHER_START == EVERY_OTHER_START - 1:
                    await self._kill(self._rng.uniform(0, 0.5), "starting")
                    continue
                await self._settled()
                self._send()
                await self._kill(self._rng.uniform(0, KILL_WITHIN), "at work")
            await self._box.start()
            await self._settled()
            await until(lambda: not self.record.untold and self.record.decided == self._version, LONG)
            await self._box.stop()
        finally:
            answering.cancel()
        self._judge()

    def _send(self) -> None:
        self._version += 1
        name = f"v{self._version}"
        device = {"driver": "lines", "options": {"format": "json"}, "label": name}
        wanted = {
            "devices": {each: {**device, "port": f"/nonexistent/{each}"} for each in ("one", "two")},
            "brokers": {"a": {"window": 10 + self._version % 50}},
            "logging": {"level": self._rng.choice(["info", "warning"])},
        }
        manual = self._version % BAD_EVERY == 0
        self._document = self._signer.document(self._version, wanted, WITHIN, manual=manual)
        self._listener.publish(f"{ROOT}/desired", self._document)

    async def _answer(self) -> None:
        """As the fleet does: a gateway that asks and has less is given the newest."""
        while True:
            questions = self._listener.on(f"{ROOT}/desired/get")
            for question in questions[self._answered :]:
                if question["have"] < self._version:
                    self._listener.publish(f"{ROOT}/desired", self._document)
            self._answered = len(questions)
            await asyncio.sleep(0.02)

    async def _kill(self, after: float, when: str) -> None:
        await asyncio.sleep(after)
        await self._box.kill()
        record = self.record
        self.killed[f"{when}, {'trying' if record.trial else 'not trying'}"] += 1
        self.decided.add(record.decided)
        self._whole()

    async def _settled(self) -> None:
        """Whatever was tried has ended: what is in force is the version that was applied last, and the whole of it."""
        await until(lambda: self.record.trial is None, LONG)
        in_force = self._whole()
        applied = self.record.applied
        if in_force != applied and self.record.trial is None:
            self.wrong.append(f"version {in_force} is in force, and {applied} was applied")

    def _whole(self) -> int:
        """The version of the drop on the disk; one that is half of two versions is told."""
        drop = self._state / "conf.d" / "40-fleet.yaml"
        if not drop.exists():
            return 0
        wanted = yaml.safe_load(drop.read_text())
        labels = {each["label"] for each in wanted["devices"].values()}
        version = int(min(labels)[1:])
        if labels != {f"v{version}"} or wanted["brokers"]["a"]["window"] != 10 + version % 50:
            self.wrong.append(f"half of a version: {wanted}")
        return version

    def _judge(self) -> None:
        self.decided |= {self.record.decided}
        self.decided.discard(0)
        told: dict[int, list[str]] = defaultdict(list)
        for report in self._listener.on(f"{ROOT}/reported"):
            told[report["version"]].append(report["status"])
        for version in sorted(self.decided):
            final = {status for status in told[version] if status in FINAL}
            if len(final) != 1:
                self.wrong.append(f"version {version} was reported {told[version]}")
            ends = [at for at, status in enumerate(told[version]) if status in FINAL]
            if ends and "trying" in told[version][ends[0] :]:
                self.wrong.append(f"version {version} was tried again: {told[version]}")
        trials = [entry for entry in self._audit() if entry["what"] == "settings-trial"]
        tried = Counter(entry["by"] for entry in trials if entry["state"] == "trying")
        self.wrong += [f"{by} was tried {count} times" for by, count in tried.items() if count > 1]
        self.outcomes = Counter(told[version][-1] for version in sorted(self.decided))

    def _audit(self) -> list[dict[str, Any]]:
        lines = (self._state / "audit.log").read_bytes().splitlines()
        return [msgspec.json.decode(line) for line in lines if line.strip()]


async def kill_run(folder: Path, kills: int, seed: int) -> KillRun:
    """A broker, an agent and a fleet; the run, judged."""
    async with running(Mosquitto(folder / "broker")) as broker, listening(broker.url, (f"{ROOT}/#",)) as listener:
        settings = settings_for(folder, broker.url, {}, gateway={"id": GATEWAY})
        settings["brokers"]["a"]["layout"] = "gateway"
        settings["fleet"] = {"broker": "a", "keys": [FleetSigner().settings]}
        async with agent(folder, settings, start=False) as box:
            run = KillRun(box, listener, seed)
            await run.run(kills)
            return run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gp-") as folder:
        run = asyncio.run(kill_run(Path(folder), asked.kills, asked.seed))
    print(f"{asked.kills} kills ({dict(run.killed)}) in {time.monotonic() - began:.0f} s, seed {asked.seed}")
    print(f"{len(run.decided)} versions were decided: {dict(run.outcomes)}")
    print("\n".join(run.wrong) or "none was half applied, none was tried twice, each was reported")
    return bool(run.wrong)


if __name__ == "__main__":
    sys.exit(main())
