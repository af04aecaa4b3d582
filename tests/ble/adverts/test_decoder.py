"""Repetitions, what BlueZ gives along, several formats at once, and what is nothing to us."""

import pytest

from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.uuids import uuid

BTHOME, ATC = 0xFCD2, 0x181A
WARM, WARMER = "4002ca09", "4002cb09"
ATC_DATA, RUUVI_DATA = "a4c138d5d49801453e510b7b62", "0512fc5394c37c0004fffc040cac364200cdcbb8334c884f"


def merged(service_data, manufacturer_data=None):
    services = {uuid(number): bytes.fromhex(data) for number, data in service_data.items()}
    makers = {company: bytes.fromhex(data) for company, data in (manufacturer_data or {}).items()}
    return ReceivedAdvert("A4:C1:38:D5:D4:98", "", -60, services, makers)


def test_without_a_number_time_tells(ear, service):
    one = ear()
    times = []
    for second in range(25):
        if one.hear(service(BTHOME, WARM)):
            times.append(second)
        one.wait(1)
    assert times == [0, 10, 20]


def test_a_change_is_news_at_once(ear, service):
    one = ear()
    assert [len(one.hear(service(BTHOME, data))) for data in (WARM, WARMER, WARMER, WARM)] == [1, 1, 0, 1]


def test_repeat_zero_gives_every_advertisement(ear, service):
    one = ear(repeat=0)
    assert [len(one.hear(service(BTHOME, WARM))) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("wait", [0, 60, 599])
def test_a_packet_id_tells_repetitions_for_long(ear, service, wait):
    one = ear()
    assert one.hear(service(BTHOME, "4000053a01"))
    one.wait(wait)
    assert one.hear(service(BTHOME, "4000053a01")) == []
    assert one.hear(service(BTHOME, "4000063a01"))


def test_a_packet_id_that_never_changes_hides_nothing_for_long(ear, service):
    one = ear()
    assert one.hear(service(BTHOME, "40000502ca09"))
    one.wait(1)
    assert one.hear(service(BTHOME, "40000502cb09")) == []
    one.wait(4)
    assert one.hear(service(BTHOME, "40000502cc09"))


def test_packets_with_other_objects_take_turns(ear, service):
    one = ear()
    assert [len(one.hear(service(BTHOME, data))) for data in (WARM, "400c020c", WARM, "400c020c")] == [1, 1, 0, 0]


def test_what_bluez_remembers_is_no_news(ear):
    one = ear()
    assert len(one.hear(merged({BTHOME: WARM}))) == 1
    one.wait(60)
    heard = one.hear(merged({BTHOME: WARM}, {0x0499: RUUVI_DATA}))  # the first was said a minute ago
    assert heard == []  # and this sensor speaks BTHome
    one.wait(60)
    assert len(one.hear(merged({BTHOME: WARM}, {0x0499: RUUVI_DATA}))) == 1


def test_one_format_of_a_sensor_that_has_two(ear):
    one = ear()
    assert [item.values["temperature"] for item in one.hear(merged({BTHOME: WARM}))] == [25.06]
    assert one.hear(merged({BTHOME: WARM, ATC: ATC_DATA})) == []
    one.wait(1)
    assert [item.values["temperature"] for item in one.hear(merged({BTHOME: WARMER, ATC: ATC_DATA}))] == [25.07]
    one.wait(301)
    assert [item.values["temperature"] for item in one.hear(merged({ATC: ATC_DATA[:-2] + "63"}))] == [32.5]


def test_the_format_that_cannot_be_read_does_not_shut_the_other_out(ear):
    one = ear()
    sealed = "41a47266c95f730011223378237214"
    assert one.hear(merged({BTHOME: sealed})) == []
    assert [item.values["temperature"] for item in one.hear(merged({BTHOME: sealed, ATC: ATC_DATA}))] == [32.5]


def test_a_chosen_format_rules_the_others_out(ear):
    one = ear(format="atc")
    assert one.hear(merged({BTHOME: WARM})) == []
    assert len(one.hear(merged({BTHOME: WARM, ATC: ATC_DATA}))) == 1


def test_the_same_key_of_somebody_else_is_counted_once(ear):
    one = ear()
    for size in range(1, 8):
        assert one.all(merged({ATC: "00" * size})) == []
    assert one.faults == {"unknown_format": 1}
    assert "181a" in one.decoder.faults.last


def test_a_format_that_nobody_knows_is_told_once(ear):
    one = ear()
    for number in range(5):
        assert one.all(merged({0xFE96: f"5020aa01{number:02x}"}, {0x1234: "00"})) == []
    assert one.faults == {"unknown_format": 1}
    assert "fe96" in one.decoder.faults.last
    assert "1234" in one.decoder.faults.last


def test_an_advert_of_a_name_alone_is_nothing(ear):
    one = ear()
    assert one.all(ReceivedAdvert("A4:C1:38:D5:D4:98", "GVH5075")) == []
    assert one.faults == {}


def test_what_is_refused_is_counted_once_while_it_is_repeated(ear, service):
    one = ear()
    for _ in range(9):
        one.all(service(BTHOME, "4202ca09"))  # the address in the payload is cut short
        one.wait(1)
    assert one.faults == {"truncated": 1}


def test_the_status_is_told_when_it_changes(ear, service):
    one = ear()
    assert one.told(service(BTHOME, "4000010161")) == {"battery": 97}
    assert one.told(service(BTHOME, "4000020161")) == {}
    assert one.told(service(BTHOME, "4000030160")) == {"battery": 96}


def test_something_else_than_an_advert_is_counted(ear):
    one = ear()
    assert one.all(b"bytes") == []
    assert one.faults == {"not-an-advert": 1}


def test_once_it_speaks_a_known_format_nothing_beside_it_is_a_fault(ear):
    one = ear()
    assert len(one.hear(merged({BTHOME: WARM}))) == 1
    assert one.all(merged({BTHOME: "00"})) == []
    assert one.faults == {}


def test_a_frame_with_nothing_in_it_is_no_unknown_format(ear, service):
    one = ear()
    assert one.hear(service(0xFE95, "30585b05bf6b872f38c1a408")) == []
    assert one.faults == {}
    assert one.hear(service(0xFE95, "50205b05c06b872f38c1a4041002e800"))
    assert one.faults == {}
