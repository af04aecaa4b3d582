import pytest

from gatepost.drivers.ble.gatt import body_composition as body
from gatepost.drivers.ble.gatt import weight
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, GOOD

WEIGHT = "0e e82b e407060f080f2d 02 e700 d506"
BODY = "fe0f c800 e7070206121c00 02 a41a c201 e02e 1027 4c1d 1027 8813 b036 d606"


def read(raw):
    return weight.reading(weight.decode(bytes.fromhex(raw)))


def composed(raw):
    return body.reading(body.decode(bytes.fromhex(raw)))


def test_weight():
    found = read(WEIGHT)
    assert found.metric == "body_weight"
    assert found.values == {"weight": 56.2, "bmi": 23.1, "height": 1.749, "user_id": 2}
    assert found.units == {"weight": "kg", "bmi": "kg/m2", "height": "m"}
    assert (found.flags, found.quality, found.device_time) == ((), GOOD, "2020-06-15T08:15:45")


def test_pounds_and_inches():
    found = read("09 543d e700 b102")
    assert found.values == {"weight": 157.0, "bmi": 23.1, "height": 68.9}
    assert found.units == {"weight": "[lb_av]", "bmi": "kg/m2", "height": "[in_i]"}


def test_an_unsuccessful_weight_is_none():
    found = read("08 ffff e700 d506")
    assert found.values == {"height": 1.749}
    assert (found.flags, found.quality) == (("weight:unsuccessful",), BAD)


def test_unknown_user():
    assert "user_id" not in read("04 b036 ff").values


def test_weight_feature():
    found = weight.decode_feature(bytes.fromhex("bf010000"))
    assert (found.features & 7, found.mass_resolution, found.height_resolution) == (7, 7, 3)


def test_body_composition():
    found = composed(BODY)
    assert found.metric == "body_composition"
    assert found.values == {
        "body_fat": 20.0, "user_id": 2, "basal_metabolism": 6820, "muscle_percentage": 45.0, "muscle_mass": 60.0,
        "fat_free_mass": 50.0, "soft_lean_mass": 37.5, "body_water_mass": 50.0, "impedance": 500.0, "weight": 70.0,
        "height": 1.75,
    }  # fmt: skip
    assert found.units["basal_metabolism"] == "kJ"
    assert found.units["impedance"] == "Ohm"
    assert found.units["muscle_mass"] == "kg"
    assert (found.quality, found.device_time) == (GOOD, "2023-02-06T18:28:00")


def test_body_composition_in_pounds():
    found = composed("2104 c800 1027 1027")
    assert found.values == {"body_fat": 20.0, "muscle_mass": 100.0, "weight": 100.0}
    assert found.units["weight"] == "[lb_av]"


def test_an_unsuccessful_composition_keeps_the_weight_at_most():
    found = composed("2006 ffff 1027 8813 b036")
    assert found.values == {"weight": 70.0}
    assert found.flags == ("body_fat:unsuccessful",)
    assert composed("0000 ffff").quality == BAD


def test_packets_that_belong_together():
    merger = body.PacketMerger()
    first = body.decode(bytes.fromhex("0610 c800 e7070206121c00 02"))
    second = body.decode(bytes.fromhex("0414 ffff 02 b036"))
    assert merger.feed(first) == []
    (whole,) = merger.feed(second)
    told = body.reading(whole)
    assert told.values == {"body_fat": 20.0, "weight": 70.0, "user_id": 2}
    assert told.device_time == "2023-02-06T18:28:00"
    assert merger.flush() == []


def test_packets_that_do_not_belong_together():
    merger = body.PacketMerger()
    mine = body.decode(bytes.fromhex("0414 c800 02 b036"))
    yours = body.decode(bytes.fromhex("0414 c800 03 b036"))
    alone = body.decode(bytes.fromhex("0000 c800"))
    assert merger.feed(mine) == []
    assert merger.feed(yours) == [mine]
    assert merger.feed(alone) == [yours, alone]
    assert merger.feed(mine) == []
    assert merger.flush() == [mine]
    assert merger.flush() == []


def test_body_composition_feature():
    found = body.decode_feature(bytes.fromhex("ff3f0100"))
    assert (found.features & 0x7FF, found.mass_resolution, found.height_resolution) == (0x7FF, 7, 2)


@pytest.mark.parametrize(
    ("decode", "raw"),
    [
        (weight.decode, WEIGHT),
        (body.decode, BODY),
        (weight.decode_feature, "00000000"),
        (body.decode_feature, "00000000"),
    ],
)
def test_short(decode, raw):
    data = bytes.fromhex(raw)
    decode(data + b"\0")
    for end in range(len(data)):
        with pytest.raises(FrameError, match="truncated"):
            decode(data[:end])
