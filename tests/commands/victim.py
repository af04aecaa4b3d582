"""A process with a real desk and ledger, to be killed: `victim.py DATABASE EFFECTS WHEN`.

Its device writes a line to EFFECTS for each execution; WHEN says where it stays: `before` or `after` that line, or
`never` (then it answers, resumes, and prints what was sent).
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import orjson
from commands.helpers import HandClock, Office, open_database, settings


async def main(database: Path, effects: Path, when: str) -> None:
    opened = await open_database(database)
    office = Office(opened, settings(), HandClock())

    async def execute(device_id: str, command: str, parameters: dict[str, Any], source: str) -> dict[str, Any]:
        if when == "before":
            print("begun", flush=True)
            await asyncio.Event().wait()
        with effects.open("a") as file:
            file.write(f"{device_id} {command}\n")
        if when == "after":
            print("begun", flush=True)
            await asyncio.Event().wait()
        return {}

    office.room.execute = execute  # type: ignore[method-assign]
    left = await office.dispatcher.start()
    await office.dispatcher.resume("hospital")
    resumed = office.answers
    response = await office.ask({"id": "once", "command": "read_now"})
    print(orjson.dumps({"left": left, "resumed": resumed, "response": orjson.loads(response.as_bytes())}).decode())
    await office.dispatcher.close(0)
    await opened.close()


asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
