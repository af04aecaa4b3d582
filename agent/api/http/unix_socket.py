"""Unix socket that the API listens on, protected by its permissions."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from gatepost.agent.core.errors import SocketTaken, SocketWrong

MODE = 0o660  # the service's user and group
PARENT_MODE = 0o750
BACKLOG = 64
PROBE = 1.0  # seconds for whoever owns the socket to take a connection
LONGEST = 100  # octets of a path; sun_path has 108, with its end and the name that it is made under


def bind(path: Path) -> socket.socket:
    """A listening socket at `path`, never for a moment with more rights than MODE; a stale one is replaced.

    Raises SocketTaken, SocketWrong.
    """
    if len(os.fsencode(path)) > LONGEST:
        raise SocketWrong(f"{path} is too long for a socket", f"api.socket: at most {LONGEST} octets")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
            path.parent.chmod(PARENT_MODE)  # mkdir's mode would be less under umask 077
        _may_replace(path)
        made = path.with_name(f".{path.name}.new")
        made.unlink(missing_ok=True)
        listener.bind(os.fspath(made))
        made.chmod(MODE)
        listener.listen(BACKLOG)
        made.rename(path)  # who finds the socket can already connect
    except BaseException as error:
        listener.close()
        if isinstance(error, OSError):
            hint = "api.socket: a path in a directory that the agent may write to, such as /run/gatepost"
            raise SocketWrong(f"cannot listen at {path}: {error.strerror}", hint) from error
        raise
    listener.setblocking(False)
    return listener


def unlink(path: Path, listener_inode: int) -> None:
    """Removes the socket that this process made, not one that took its place."""
    try:
        if path.lstat().st_ino == listener_inode:
            path.unlink()
    except OSError:  # gone already, or with its directory
        pass


def _may_replace(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketWrong(f"{path} is there and is no socket", "move it away, or set api.socket")
    if answers(path):
        raise SocketTaken(f"another agent answers at {path}", "stop it, or set api.socket")


def answers(path: Path) -> bool:
    """Whether anybody takes connections at `path`; a process that is merely busy does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # its queue is full, or it is not ours to ask
            return True
    return True
