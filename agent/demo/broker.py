"""The demo's broker as a process: `python -m gatepost.agent.demo.broker PORT`, until standard input ends."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from amqtt.broker import Broker

PLUGINS = {
    "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
    "gatepost.agent.demo.mqtt_tap.MqttTap": {},
}


async def serve(port: int) -> None:
    """Listens on loopback; writes an empty line when it does."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    listener = {"type": "tcp", "bind": f"127.0.0.1:{port}"}
    broker = Broker({"listeners": {"default": listener}, "plugins": PLUGINS})
    await broker.start()
    sys.stdout.write("\n")
    sys.stdout.flush()
    ended = asyncio.ensure_future(reader.read())  # whoever started this is gone: nobody is left to end it
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    stopped.cancel()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(serve(int(sys.argv[1])))
