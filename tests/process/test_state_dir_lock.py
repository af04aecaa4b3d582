"""One agent for each state directory, also where no lock file can be made or written."""

from __future__ import annotations

import errno
import os

import pytest

from gatepost.agent.core.errors import StateDirInUse
from gatepost.agent.process import state_dir_lock


def test_the_second_one_is_told_who_holds_it(tmp_path):
    with state_dir_lock.take(tmp_path), pytest.raises(StateDirInUse, match=rf"\(process {os.getpid()}\)"):
        state_dir_lock.take(tmp_path)
    state_dir_lock.take(tmp_path).close()


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("there", [True, False])
def test_where_no_lock_file_can_be_written_what_is_there_is_locked(tmp_path, monkeypatch, code, there):
    if there:
        (tmp_path / state_dir_lock.NAME).touch()
    usual = state_dir_lock.open_regular

    def refused(path, flags=os.O_RDONLY):
        if flags & os.O_CREAT:
            raise OSError(code, os.strerror(code))
        return usual(path, flags)

    monkeypatch.setattr(state_dir_lock, "open_regular", refused)
    with state_dir_lock.take(tmp_path), pytest.raises(StateDirInUse):
        state_dir_lock.take(tmp_path)


def test_a_lock_file_on_a_full_disk_holds_and_is_given_back(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    lock = state_dir_lock.take(tmp_path)
    lock.close()
    state_dir_lock.take(tmp_path).close()


def test_the_lock_of_a_file_that_was_removed_is_taken_again(tmp_path):
    lock = state_dir_lock.take(tmp_path)
    (tmp_path / state_dir_lock.NAME).unlink()
    lock.renew()
    with pytest.raises(StateDirInUse):
        state_dir_lock.take(tmp_path)
    lock.renew()
    lock.close()
    lock.renew()  # what was given back stays free
    state_dir_lock.take(tmp_path).close()


def test_a_lock_that_is_given_back_while_it_is_taken_again_stays_given_back(tmp_path, monkeypatch):
    lock = state_dir_lock.take(tmp_path)
    (tmp_path / state_dir_lock.NAME).unlink()
    locked = state_dir_lock._lock

    def close_meanwhile(state_dir, handle):
        locked(state_dir, handle)
        lock.close()

    monkeypatch.setattr(state_dir_lock, "_lock", close_meanwhile)
    lock.renew()
    monkeypatch.undo()
    assert lock.closed
    with state_dir_lock.take(tmp_path):
        pass


def test_the_lock_of_a_directory_that_was_replaced_may_be_anothers(tmp_path):
    state_dir, before = tmp_path / "state", tmp_path / "before"
    state_dir.mkdir()
    with state_dir_lock.take(state_dir) as lock:
        state_dir.rename(before)
        with pytest.raises(FileNotFoundError):
            lock.renew()
        state_dir.mkdir()
        with state_dir_lock.take(state_dir), pytest.raises(StateDirInUse):
            lock.renew()
        with pytest.raises(StateDirInUse):
            state_dir_lock.take(before)  # what it had it still has
        lock.renew()
        with pytest.raises(StateDirInUse):
            state_dir_lock.take(state_dir)


def test_where_only_the_directory_could_be_locked_a_file_is_as_soon_as_there_can_be_one(tmp_path, monkeypatch):
    usual = state_dir_lock.open_regular

    def full(path, flags=os.O_RDONLY):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(state_dir_lock, "open_regular", full)
    with state_dir_lock.take(tmp_path) as lock:
        lock.renew()
        monkeypatch.setattr(state_dir_lock, "open_regular", usual)
        lock.renew()
        with pytest.raises(StateDirInUse):
            state_dir_lock.take(tmp_path)
