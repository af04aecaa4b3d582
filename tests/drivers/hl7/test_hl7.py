"""hl7-monitor: values and what is none, whom it answers and how, messages that are sent again."""

import sys
import tracemalloc

import msgspec
import pytest

from gatepost.drivers.link import LinkFailed, Reason
from gatepost.drivers.network.hl7.driver import Hl7Monitor
from gatepost.drivers.network.hl7.message import decode_message, encode_answer
from gatepost.drivers.network.hl7.mllp import Hl7Router
from gatepost.drivers.network.hl7.observations import number_of
from gatepost.drivers.network.hl7.options import Hl7Options
from gatepost.drivers.network.hl7.twin import Hl7Twin
from gatepost.drivers.network.peer_message import PeerBytes
from gatepost.drivers.options import WrongOptions
from gatepost.drivers.reading import Reading
from gatepost.drivers.testing import driver_kit
from gatepost.drivers.testing.virtual_session import EPOCH, LocalTime

HEAD = "MSH|^~\\&|MON^1|FAC|||20260727124424||ORU^R01|7|P|2.6|||AL|NE"


def message(*items, head=HEAD, bed="ICU^^5", service="182777000"):
    lines = [head, "PID|||4711^^^H^PI||Doe^Jane", f"PV1||I|{bed}", f"OBR|1|||{service}"]
    return ("\r".join([*lines, *(f"OBX|1|{item}" for item in items)]) + "\r").encode()


def framed(octets):
    return b"\x0b" + octets + b"\x1c\r"


def read(*items, options=None, **more):
    decoder = Hl7Monitor(msgspec.convert(options or {}, Hl7Options)).decoder()
    found = decoder.feed(framed(message(*items, **more)))
    return [item for item in found if isinstance(item, Reading)], decoder


def test_values_are_grouped_by_what_they_measure():
    (oximetry, pressure), _ = read(
        "NM|150456^MDC_PULS_OXIM_SAT_O2^MDC|1.3|97|262688^MDC_DIM_PERCENT^MDC|||||R",
        "NM|150301^MDC_PRESS_CUFF_SYS^MDC|1.1|120|266016^MDC_DIM_MMHG^MDC|||||R",
        "NM|149530^MDC_PULS_OXIM_PULS_RATE^MDC|1.3|71|264864^MDC_DIM_BEAT_PER_MIN^MDC|||||R",
        "NM|150302^MDC_PRESS_CUFF_DIA^MDC|1.1|80|266016^MDC_DIM_MMHG^MDC|||||R",
    )
    assert (oximetry.metric, oximetry.values) == ("pulse_oximetry", {"spo2": 97, "heart_rate": 71})
    assert oximetry.units == {"spo2": "%", "heart_rate": "/min"}
    assert (pressure.metric, pressure.values) == ("blood_pressure", {"systolic": 120, "diastolic": 80})
    assert pressure.device_time == "2026-07-27T12:44:24"


@pytest.mark.parametrize("sent", ["", "-999", "-99.9", "-100", "-100.0", "-1", "---"])
def test_what_stands_for_no_value_is_none(sent):
    (reading,), _ = read(f"NM|147842^MDC_ECG_HEART_RATE^MDC|1|{sent}|264864^MDC_DIM_BEAT_PER_MIN^MDC")
    assert (reading.values, reading.quality) == ({}, "bad")
    assert reading.flags[-1].startswith("heart_rate:")


def test_minus_one_is_a_venous_pressure():
    (reading,), _ = read("NM|150087^MDC_PRESS_BLD_VEN_CENT_MEAN^MDC|1|-1|266016^MDC_DIM_MMHG^MDC")
    assert (reading.values, reading.flags, reading.quality) == ({"mean": -1}, ("site-cvp",), "good")


def test_where_code_and_name_contradict_the_name_counts():
    (reading,), _ = read("NM|150031^MDC_PRESS_CUFF_SYS^MDC|1.1.9.150301|120|266016^MDC_DIM_MMHG^MDC")
    assert (reading.metric, reading.values) == ("blood_pressure", {"systolic": 120})
    assert (reading.flags, reading.quality) == (("systolic:code-mismatch",), "uncertain")


@pytest.mark.parametrize(
    ("more", "item_flags", "flag"),
    [
        ({}, "DEMO", "demo"),
        ({"head": HEAD.replace("|P|", "|T|")}, "", "test-data"),
        ({"service": "LQC"}, "", "quality-control"),
        ({"service": "PRF"}, "", "quality-control"),
        ({"head": HEAD.replace("|P|", "|Q|")}, "", "quality-control"),
    ],
)
def test_what_is_no_patient_is_flagged(more, item_flags, flag):
    item = f"NM|147842^MDC_ECG_HEART_RATE^MDC|1|72|264864^MDC_DIM_BEAT_PER_MIN^MDC||{item_flags}|||R"
    (reading,), _ = read(item, **more)
    assert (reading.values, reading.quality) == ({"heart_rate": 72}, "bad")
    assert flag in reading.flags


def test_two_temperatures_are_two_channels():
    first, second = read(
        "NM|150344^MDC_TEMP^MDC|1.1.1|36.6|268192^MDC_DIM_DEGC^MDC", "NM|150344^MDC_TEMP^MDC|1.1.2|35|268192^x^MDC"
    )[0]
    assert first.values == {"temperature": 36.6}
    assert second.values == {"temperature": 35, "channel": "1.1.2"}


def test_a_second_thermometer_is_not_taken_for_the_first_where_it_comes_alone():
    decoder = Hl7Monitor().decoder()
    first, second = (f"NM|150344^MDC_TEMP^MDC|1.13.{i}.150344|36.6|268192^MDC_DIM_DEGC^MDC" for i in (1, 2))
    for number, items in enumerate(((first, second), (second,), (first,))):
        found = decoder.feed(framed(message(*items, head=HEAD.replace("|7|", f"|{number}|"))))
        channels = [item.values.get("channel") for item in found if isinstance(item, Reading)]
        assert channels == [None if item is first else "1.13.2.150344" for item in items]


def test_a_running_number_is_no_channel():
    decoder = Hl7Monitor().decoder()
    for number, place in enumerate((3, 2, 7)):
        item = f"NM|150344^MDC_TEMP^MDC|{place}|36.6|268192^MDC_DIM_DEGC^MDC"
        (reading, _) = decoder.feed(framed(message(item, head=HEAD.replace("|7|", f"|{number}|"))))
        assert reading.values == {"temperature": 36.6}
    first, second = read("NM|150344^MDC_TEMP^MDC|1|36.6|268192^x^MDC", "NM|150344^MDC_TEMP^MDC|2|35|268192^x^MDC")[0]
    assert (first.values, second.values["channel"]) == ({"temperature": 36.6}, "2")


def test_the_values_of_a_second_pressure_stay_together():
    items = [
        f"NM|{150036 + i}^MDC_PRESS_BLD_ART_ABP_{name}^MDC|1.2.{place}.{150036 + i}|{70 + i}|266016^MDC_DIM_MMHG^MDC"
        for place in (1, 2)
        for i, name in ((1, "SYS"), (2, "DIA"), (3, "MEAN"))
    ]
    values = {"systolic": 71, "diastolic": 72, "mean": 73}
    assert [reading.values for reading in read(*items)[0]] == [values, {"channel": "1.2.2.150037", **values}]


@pytest.mark.parametrize(
    ("marks", "values", "flags", "quality"),
    [
        ("INV", {}, ("source-ecg", "heart_rate:invalid"), "bad"),
        ("NAV", {}, ("source-ecg", "heart_rate:unavailable"), "bad"),
        ("H~QUES", {"heart_rate": 72}, ("source-ecg", "heart_rate:questionable"), "uncertain"),
        ("TEST", {"heart_rate": 72}, ("test-data", "source-ecg"), "bad"),
        ("H", {"heart_rate": 72}, ("source-ecg",), "good"),
    ],
)
def test_what_a_monitor_says_of_its_value_is_told(marks, values, flags, quality):
    (reading,), _ = read(f"NM|147842^MDC_ECG_HEART_RATE^MDC|1|72|264864^x^MDC||{marks}|||R")
    assert (reading.values, reading.flags, reading.quality) == (values, flags, quality)


@pytest.mark.parametrize("status", ["X", "W", "D"])
def test_a_result_that_was_taken_back_is_none(status):
    (reading,), _ = read(f"NM|147842^MDC_ECG_HEART_RATE^MDC|1|72|264864^x^MDC|||||{status}")
    assert (reading.values, reading.flags[-1]) == ({}, "heart_rate:not-measured")


def test_a_code_without_a_name_contradicts_nothing():
    (reading,), _ = read("NM|150456^^MDC||97|262688^^MDC|||||R")
    assert (reading.values, reading.flags, reading.quality) == ({"spo2": 97}, (), "good")


def test_an_order_tells_the_time_of_its_results():
    head = HEAD.replace("20260727124424", "20260727130000")
    lines = f"{head}\rOBR|1|||WBC|||20260727110000\rOBX|1|NM|6690-2^WBC^LN||9.5|10*9/L|||||F\r"
    found = Hl7Monitor().decoder().feed(framed(lines.encode()))
    assert found[0].device_time == "2026-07-27T11:00:00"


def test_unknown_codes_pass_and_can_be_named():
    items = ("NM|148066^MDC_ECG_V_P_C_RATE^MDC|1|2|264864^x^MDC", "NM|f0e5^PVC^99MNDRY|1|-3||")
    (reading,), _ = read(*items)
    assert (reading.metric, reading.values) == ("reading", {"mdc_148066": 2, "mdc_f0e5": -3})
    (reading,), _ = read(*items, options={"names": {"148066": "pvc_rate"}})
    assert reading.values == {"pvc_rate": 2, "mdc_f0e5": -3}


def test_alarms_are_flags_with_a_priority_and_nothing_of_their_text():
    (reading,), _ = read("TX|2^Yellow Alarm^MDIL-ALERT||Mr Doe fell||||||R")
    assert (reading.metric, reading.values) == ("device_alarm", {"alarm_priority": 2})
    assert reading.flags == ("device-alarm:yellow-alarm",)


def test_the_alarms_of_a_demonstration_are_one():
    items = ("NM|150456^x^MDC||97|262688^x^MDC||DEMO|||R", "TX|1^Red Alarm^MDIL-ALERT||APNEA||||||R")
    assert [(reading.flags[0], reading.quality) for reading in read(*items)[0]] == [("demo", "bad")] * 2


def test_a_sample_may_have_any_number():
    items = (
        "NA|131330^MDC_ECG_ELEC_POTL_II^MDC|1.7.1|-99^-100^-999^0.0|266418^MDC_DIM_MILLI_VOLT^MDC",
        "NM|0^MDC_ATTR_SAMP_RATE^MDC|1.7.1.1|4|264608^MDC_DIM_PER_SEC^MDC",
    )
    (wave,) = (reading.waveform for reading in read(*items, options={"waveforms": True})[0] if reading.waveform)
    assert wave.samples == [-99, -100, -999, 0]


def test_waveforms_only_where_they_are_wanted():
    items = (
        "NA|131330^MDC_ECG_ELEC_POTL_II^MDC|1.7.1|0^10^-5^3|266418^MDC_DIM_MILLI_VOLT^MDC",
        "NM|0^MDC_ATTR_SAMP_RATE^MDC|1.7.1.1|4|264608^MDC_DIM_PER_SEC^MDC",
        "NM|2327^MDC_ATTR_NU_MSMT_RES^MDC|1.7.1.2|0.01|266418^MDC_DIM_MILLI_VOLT^MDC",
    )
    assert not any(reading.waveform for reading in read(*items)[0])
    wave = next(reading for reading in read(*items, options={"waveforms": True})[0] if reading.waveform)
    assert (wave.metric, wave.values) == ("ecg", {"channel": "II"})
    assert (wave.waveform.samples, wave.waveform.rate_hz, wave.waveform.scale) == ([0, 10, -5, 3], 4.0, 0.01)


def test_nothing_of_a_patient_is_kept():
    found, decoder = read("NM|147842^MDC_ECG_HEART_RATE^MDC|1|72|264864^x^MDC")
    assert "Doe" not in repr((found, decoder.due, decoder.__dict__))
    assert "4711" not in repr((found, decoder.due))


def test_a_message_that_comes_again_is_answered_and_not_given_again():
    item = "NM|147842^MDC_ECG_HEART_RATE^MDC|1|72|264864^x^MDC"
    found, decoder = read(item, "NM|150456^MDC_PULS_OXIM_SAT_O2^MDC|1|98|262688^x^MDC")
    again = decoder.feed(framed(message(item, "NM|150456^MDC_PULS_OXIM_SAT_O2^MDC|1|98|262688^x^MDC")))
    assert len(found) == 2
    assert [item for item in again if isinstance(item, Reading)] == []
    assert [due.code for due in decoder.due] == ["AA", "AA"]


def test_after_a_crash_in_the_middle_of_a_message_its_rest_is_given():
    items = [f"NM|{code}^x{code}^MDC|1|9|264864^x^MDC" for code in (147842, 150456, 151562)]
    found, _ = read(*items)
    for stored in range(len(found) + 1):
        driver = Hl7Monitor()
        driver.bookmarks = dict([found[stored - 1].bookmark]) if stored else {}
        again = [item for item in driver.decoder().feed(framed(message(*items))) if isinstance(item, Reading)]
        assert [reading.values for reading in again] == [reading.values for reading in found[stored:]]


@pytest.mark.parametrize("kind", ["QRY^A19", "QBP^ZV1^QBP_Q21", "ADT^A01", "ORF^R04"])
def test_questions_are_refused(kind):
    found, decoder = read("NM|147842^x^MDC|1|72||", head=HEAD.replace("ORU^R01", kind))
    assert found == []
    assert decoder.due[0].code == "AR"
    answer = encode_answer(decoder.due[0].message, "AR", "20260101000000")
    assert b"|ACK" in answer
    assert b"MSA|AR|7\r" in answer
    assert b"Doe" not in answer


def test_a_stray_message_is_acknowledged_and_not_stored():
    octets = framed(message("NM|147842^x^MDC|1|72|264864^x^MDC"))
    decoder = Hl7Monitor().decoder()
    found = decoder.feed(PeerBytes.of(octets, 3, stray=True))
    assert not any(isinstance(item, Reading) for item in found)
    assert (decoder.due[0].code, decoder.due[0].stored, decoder.due[0].peer) == ("AA", False, 3)
    assert decoder.faults.counts == {"stray": 1}
    decoder = Hl7Monitor(Hl7Options(match={"bed": "ICU^^6"})).decoder()
    assert not any(isinstance(item, Reading) for item in decoder.feed(octets))


def two_beds():
    rate = "OBX|1|NM|147842^MDC_ECG_HEART_RATE^MDC||{}|264864^x^MDC"
    beds = (f"PID|||{i}\rPV1||I|ICU^^{i}\rOBR|1\r{rate.format(60 + i)}" for i in (5, 6))
    return framed("\r".join((HEAD, *beds)).encode())


def test_beds_of_one_message_are_not_mixed_up():
    parts = Hl7Router().feed(two_beds())
    assert [part.keys["bed"][0] for part in parts] == ["5", "6"]
    for part, rate in zip(parts, (65, 66), strict=True):
        decoder = Hl7Monitor(Hl7Options(match={"bed": "ICU^^" + str(rate - 60)})).decoder()
        for source in (part.data, two_beds()):
            found = [item for item in decoder.feed(source) if isinstance(item, Reading)]
            assert [reading.values for reading in found] == ([{"heart_rate": rate}] if source is part.data else [])


class BareIo:
    """What a conversation with one message needs beside the store and the wire."""

    async def wait(self, match, timeout):
        raise ConnectionError("the end of this test")

    def now(self):
        return LocalTime(EPOCH, True)

    def update_status(self, **known):
        pass


@pytest.mark.parametrize(("fails", "code"), [((), "AA"), ((0,), "AE"), ((1,), "AE")])
def test_two_beds_of_one_message_are_answered_once_by_the_last(fails, code):
    said = []

    async def device(part, number):
        driver = Hl7Monitor()
        driver.decoder().feed(PeerBytes.of(part.data, 3, False, part.shared))

        class Io(BareIo):
            async def stored(self, timeout=30.0):
                if number in fails:
                    raise TimeoutError

            async def send(self, data):
                said.append((number, bytes(data)))

        with pytest.raises(ConnectionError):
            await driver.run_session(Io())

    async def run():
        for number, part in enumerate(Hl7Router().feed(two_beds())):
            await device(part, number)

    driver_kit.in_virtual_time(run())
    ((number, answer),) = said
    assert (number, f"MSA|{code}|7\r".encode() in answer) == (1, True)


def test_an_answer_cannot_be_made_to_say_more():
    evil = decode_message("MSH|^~\\&|A|B|||20260101||ORU^R01|1\\E\\2\x0b\x1c|P|2.6")
    answer = encode_answer(evil, "AA", "20260101000000")
    assert answer.count(b"\x0b") == answer.count(b"\x1c") == 1
    assert Hl7Monitor().violation(answer) is None


def test_a_sender_that_frames_nothing():
    first, second = (message(head=HEAD.replace("|7|", f"|{i}|"), bed=f"ICU^^{i}") for i in (1, 2))
    router = Hl7Router(unframed=True)
    assert router.patience is None
    for size in (1, 7, 5000):
        octets = b"noise\r\n" + first + second
        found = [each for at in range(0, len(octets), size) for each in router.feed(octets[at : at + size])]
        assert [each.data for each in found] == [framed(first)]
        assert router.patience
        assert [each.keys["bed"][0] for each in router.feed(b"")] == ["2"]
        assert router.patience is None
    with pytest.raises(WrongOptions, match="unframed"):
        Hl7Options(via="a", match={"bed": "1"}, unframed=True)


def test_a_broken_msh_2_has_the_usual_signs():
    assert decode_message("MSH|^~\\|M|F|||20260101||ORU^R01|1|P|2.3\rOBX|1|NM|1^n^MDC||5").observations[0].value == "5"


def test_its_twin_is_acknowledged():
    twin = Hl7Twin()
    done = driver_kit.session(Hl7Monitor(), twin, seconds=10)
    assert twin.acknowledged == list(range(1, 10))
    assert twin.refused == []
    assert {reading.metric for reading in done.readings} == {
        "heart_rate", "pulse_oximetry", "respiration", "invasive_pressure",
    }  # fmt: skip


def test_a_message_of_many_beds_and_a_header_of_its_size_stays_one():
    header = "MSH|^~\\&|A|B|C|D|20200101||ORU^R01|1|P|2.6\rNTE|" + "x" * 100_000
    beds = "".join(f"\rPV1|1||w^r^{number}" for number in range(1000))
    assert len(Hl7Router().feed(f"\x0b{header}{beds}\x1c\r".encode())) == 1


def test_twice_as_many_results_of_one_kind_are_twice_the_work():
    def work(count):
        called = []
        sys.setprofile(lambda frame, event, argument: called.append(event) if event == "call" else None)
        try:
            found, _ = read(*["NM|150456^MDC_PULS_OXIM_SAT_O2^MDC||97|262688^MDC_DIM_PERCENT^MDC|||||R"] * count)
        finally:
            sys.setprofile(None)
        assert len(found) == count
        return len(called)

    assert work(400) < 2.5 * work(200)  # a message of a megabyte holds 20,000


def test_a_message_that_comes_octet_by_octet_takes_the_memory_of_its_octets():
    router = Hl7Router()
    tracemalloc.start()
    try:
        router.feed(b"\x0bMSH|")
        for number in range(100_000):
            router.feed(b"%02x" % (number & 255))
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_message_without_a_frame_is_looked_at_once_however_few_octets_come():
    router = Hl7Router(unframed=True)
    assert router.feed(b"MSH|^~\\&|" + b"x" * 1_000_000) == []
    for _ in range(20_000):  # with a look at all of it each, this would take minutes
        assert router.feed(b"x") == []
    assert [part.data[:5] for part in router.feed(b"\rMSH|^~\\&|A\rMSH|")] == [b"\x0bMSH|"] * 2


def test_what_cannot_be_stored_is_not_acknowledged():
    async def run():
        driver, twin = Hl7Monitor(), Hl7Twin()
        decoder = driver.decoder()
        decoder.feed(twin.tick())
        said = []

        class Io(BareIo):
            async def stored(self, timeout=30.0):
                raise TimeoutError

            async def send(self, data):
                said.append(bytes(data))
                twin.hear(data)

        with pytest.raises(ConnectionError):
            await driver.run_session(Io())
        return twin, said

    twin, said = driver_kit.in_virtual_time(run())
    assert twin.refused == ["AE"]
    assert twin.acknowledged == []
    assert len(said) == 1


def test_a_peer_that_has_gone_ends_no_answer_of_the_others():
    async def run():
        driver, said = Hl7Monitor(), []
        decoder = driver.decoder()
        for peer in (3, 4):
            decoder.feed(PeerBytes.of(framed(message()), peer, stray=True))

        class Io:
            async def send(self, data):
                if not said:
                    said.append(None)
                    raise LinkFailed(Reason.GONE, "it has gone")
                said.append(data.peer)

            async def wait(self, match, timeout):
                raise ConnectionError("the end of this test")

            def now(self):
                return LocalTime(EPOCH, True)

        with pytest.raises(ConnectionError):
            await driver.run_session(Io())
        return said

    assert driver_kit.in_virtual_time(run()) == [None, 4]


@pytest.mark.parametrize("digits", ["9007199254740993", "12345678901234567890", "120", "-5", "+7"])
def test_the_digits_of_a_whole_number_never_change(digits: str) -> None:
    assert number_of(digits) == int(digits)
