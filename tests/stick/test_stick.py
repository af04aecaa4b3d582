"""A stick between two boxes: resumed, bounded, torn, encrypted, taken twice."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from gatepost.agent.core.errors import StickWrong
from gatepost.agent.stick import encryption, folder, outbound
from gatepost.agent.stick.folder import StickFolder
from gatepost.agent.stick.inbound import Inbound, StickImport
from gatepost.agent.stick.outbound import Outbound, StickExport
from gatepost.client import GatewayError
from tests.stick.boxes import CourierBox, HomeBox


@pytest.fixture(autouse=True)
def small_parcels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "PARCEL_READINGS", 100)
    monkeypatch.setattr(outbound, "PAGE", 50)


def give(home: Any, stick: Path, **options: Any) -> StickExport:
    return Outbound(home, StickFolder(stick), **options).run("a")


def take(courier: Any, stick: Path, **options: Any) -> StickImport:
    return Inbound(courier, StickFolder(stick), sleep=lambda seconds: None, **options).run()


def parcels(stick: Path) -> list[Path]:
    return sorted((stick / "gatepost").glob("*.parcel"))


def every(home: HomeBox) -> list[str]:
    return [f"home:{seq}" for seq in range(1, home.count + 1)]


def test_there_and_back(tmp_path: Path) -> None:
    home, courier = HomeBox(1000), CourierBox()
    given = give(home, tmp_path)
    assert (given.readings, given.complete, given.problems) == (1000, True, [])
    assert home.owes() == 1000
    taken = take(courier, tmp_path)
    assert (taken.readings, taken.parcels, taken.problems) == (1000, given.parcels, [])
    urgent = [f"home:{seq}" for seq in range(10, 1001, 10)]
    assert courier.upstream == urgent + [each for each in every(home) if each not in set(urgent)]
    again = take(courier, tmp_path)
    assert (again.readings, again.before, len(courier.upstream)) == (0, given.parcels, 1000)
    assert give(home, tmp_path).delivered == 1000
    assert home.owes() == 0
    assert list((tmp_path / "gatepost").iterdir()) == []


def test_what_is_not_owed_any_more_is_told_and_stays(tmp_path: Path) -> None:
    """It went over the network meanwhile, or was dropped by a full log: then the stick has the only copy."""
    home = HomeBox(300)
    first = give(home, tmp_path)
    home.deliver(1, 301)
    again = give(home, tmp_path)
    assert (again.gone, again.there, again.readings) == (first.readings, 0, 0)
    assert take(CourierBox(), tmp_path).readings == first.readings
    assert give(home, tmp_path).twice == first.readings
    assert list((tmp_path / "gatepost").iterdir()) == []
    home = HomeBox(300)
    give(home, tmp_path)
    take(CourierBox(), tmp_path)
    home.deliver(1, 101)
    back = give(home, tmp_path)
    assert (back.delivered, back.twice) == (200, 100)


def test_at_home_import_takes_the_receipts(tmp_path: Path) -> None:
    home = HomeBox(30)
    give(home, tmp_path)
    assert take(home, tmp_path).own == len(parcels(tmp_path))
    take(CourierBox(), tmp_path)
    assert take(home, tmp_path).delivered == 30
    assert home.owes() == 0


@pytest.mark.parametrize("oldest_first", [False, True])
def test_an_export_goes_on_where_the_stick_was_pulled_out(
    tmp_path: Path, oldest_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, courier = HomeBox(1000), CourierBox()
    write, written = StickFolder.write, []

    def pulled_out(self: StickFolder, *args: Any) -> None:
        if len(written) == 4:
            raise OSError(errno.EIO, "Input/output error")
        written.append(args)
        write(self, *args)

    monkeypatch.setattr(StickFolder, "write", pulled_out)
    with pytest.raises(OSError, match="Input/output error"):
        give(home, tmp_path, oldest_first=oldest_first)
    monkeypatch.setattr(StickFolder, "write", write)
    half = take(courier, tmp_path)
    assert half.unfinished == [parcels(tmp_path)[0].name.partition("-")[0]]
    assert 400 <= half.readings < 600
    given = give(home, tmp_path, oldest_first=oldest_first)
    assert given.delivered == half.readings
    assert given.delivered + given.readings == 1000
    take(courier, tmp_path)
    assert sorted(courier.upstream) == sorted(every(home))


def test_the_order_is_as_asked(tmp_path: Path) -> None:
    for name, oldest_first in (("old", True), ("new", False)):
        (tmp_path / name).mkdir()
        given = give(HomeBox(1000), tmp_path / name, oldest_first=oldest_first, most=2500)
        assert not given.complete
        courier = CourierBox()
        assert take(courier, tmp_path / name).problems == []
        normal = sorted(int(each.partition(":")[2]) for each in courier.upstream if not each.endswith("0"))
        assert normal, given
        assert (normal[0] == 1, normal[-1] == 999) == (oldest_first, not oldest_first)


def test_what_does_not_fit_comes_with_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, courier = HomeBox(1000), CourierBox()
    monkeypatch.setattr(StickFolder, "space", lambda self: 0 if len(parcels(tmp_path)) >= 3 else 10_000)
    rounds = 0
    while not give(home, tmp_path).complete:
        take(courier, tmp_path)
        rounds += 1
        assert rounds < 10
    take(courier, tmp_path)
    assert rounds > 1
    assert sorted(courier.upstream) == sorted(every(home))


def test_a_torn_copy_is_noticed_and_the_rest_is_sent(tmp_path: Path) -> None:
    home, courier = HomeBox(1000), CourierBox()
    given = give(home, tmp_path)
    torn, changed, gone = parcels(tmp_path)[:3]
    torn.write_bytes(torn.read_bytes()[:-7])
    content = bytearray(changed.read_bytes())
    content[-40] ^= 1
    changed.write_bytes(content)
    gone.unlink()
    for checks in (True, False):
        inbound = Inbound(courier, StickFolder(tmp_path))  # type: ignore[arg-type]
        done = inbound.check() if checks else inbound.run()
        assert done.parcels == given.parcels - 3
        assert [problem.partition(":")[0] for problem in done.problems] == [
            torn.name,
            changed.name,
            f"{gone.name} is missing",
        ]
    again = give(home, tmp_path)
    assert all("written again" in problem for problem in again.problems)
    assert again.readings == 1000 - len(courier.upstream)
    done = take(courier, tmp_path)
    assert sorted(courier.upstream) == sorted(every(home))
    assert done.problems == [f"{gone.name} is missing: the copy is not complete"]


def test_a_broker_that_is_away_for_a_moment_costs_nothing(tmp_path: Path) -> None:
    home, courier = HomeBox(300), CourierBox(fails_at=130)
    give(home, tmp_path)
    take(courier, tmp_path)
    assert sorted(courier.upstream) == sorted(every(home))


def test_a_receipt_that_cannot_be_written_is_written_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stick is pulled out of the box with the network: what was sent by then is not sent again."""
    home, courier = HomeBox(300), CourierBox()
    given = give(home, tmp_path)
    write = StickFolder.write_receipt

    def pulled_out(self: StickFolder, *args: Any) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(StickFolder, "write_receipt", pulled_out)
    with pytest.raises(OSError, match="No such device"):
        take(courier, tmp_path)
    assert courier.upstream
    monkeypatch.setattr(StickFolder, "write_receipt", write)
    assert take(courier, tmp_path).parcels == given.parcels
    assert sorted(courier.upstream) == sorted(every(home))


def test_two_gateways_share_a_stick(tmp_path: Path) -> None:
    one, two, courier = HomeBox(50), HomeBox(70, "other"), CourierBox()
    give(one, tmp_path)
    assert give(two, tmp_path).there == 0
    assert take(courier, tmp_path).readings == 120
    assert give(one, tmp_path).delivered == 50
    assert give(two, tmp_path).delivered == 70


def test_only_the_receiver_can_read_it(tmp_path: Path) -> None:
    private = encryption.new_key()
    home = HomeBox(20)
    give(home, tmp_path, public=encryption.public_of(private))
    assert all(b"home:" not in path.read_bytes() for path in parcels(tmp_path))
    for wrong, says in ((None, "encrypted for gp-public-"), (encryption.new_key(), "not encrypted for this key")):
        courier = CourierBox()
        done = take(courier, tmp_path, private=wrong)
        assert courier.upstream == []
        assert all(says in problem for problem in done.problems)
        assert done.problems
    courier = CourierBox()
    assert take(courier, tmp_path, private=private).problems == []
    assert sorted(courier.upstream) == sorted(every(home))
    assert give(home, tmp_path, public=encryption.public_of(private)).delivered == 20


@pytest.mark.parametrize("text", ["", "gp-public-", "gp-public-AAAA", "gp-private-" + "A" * 44, "gp-public-é"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(StickWrong, match="no public key"):
        encryption.check_public(text)


def test_a_key_that_shares_nothing_is_refused() -> None:
    zero = encryption.PUBLIC + "A" * 43 + "="
    with pytest.raises(StickWrong, match="no usable key"):
        encryption.seal(zero, b"content", b"header")


def test_leftovers_of_a_stick_that_was_pulled_out_are_removed(tmp_path: Path) -> None:
    home = HomeBox(20)
    give(home, tmp_path)
    left = tmp_path / "gatepost" / f".{parcels(tmp_path)[0].name}.0123abcd"
    left.write_bytes(b"half")
    mine = tmp_path / "gatepost" / ".notes.txt.old"
    mine.write_text("keep")
    assert give(home, tmp_path).there == 20
    assert (left.exists(), mine.exists()) == (False, True)


def test_no_octets_of_a_parcel_break_the_reader(tmp_path: Path) -> None:
    give(HomeBox(3), tmp_path)
    whole = parcels(tmp_path)[0].read_bytes()
    for at in range(0, len(whole), 3):
        for damaged in (whole[:at], whole[:at] + b"\xff" + whole[at + 1 :], whole[at:]):
            if damaged != whole:
                with pytest.raises(StickWrong):
                    folder.decoded(damaged).open(None)


def test_a_connection_that_breaks_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, courier = HomeBox(100), CourierBox()
    give(home, tmp_path)
    broken = [GatewayError("connection-lost", "the connection to the agent broke")]
    carry = courier.carry

    def once_broken(*parcel: Any) -> Any:
        if broken:
            raise broken.pop()
        return carry(*parcel)

    monkeypatch.setattr(courier, "carry", once_broken)
    assert take(courier, tmp_path).readings == 100
