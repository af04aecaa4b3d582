"""poct1-a: results once and acknowledged when stored, controls, documents back to back, what is never sent."""

import pytest

from gatepost.drivers.network.poct1a import answers
from gatepost.drivers.network.poct1a.decoder import PoctDecoder
from gatepost.drivers.network.poct1a.driver import PoctAnalyser
from gatepost.drivers.network.poct1a.twin import PoctTwin
from gatepost.drivers.reading import Reading
from gatepost.drivers.testing import driver_kit

TIME = "2026-11-20T10:30:00"


def document(*observations, role="OBS", kind="OBS.R01", sequence="7", number="10016"):
    inner = "".join(f"<OBS>{each}</OBS>" for each in observations)
    return (
        f'<?xml version="1.0" encoding="utf-8"?><{kind}><HDR><HDR.control_id V="{number}"/></HDR><SVC><SVC.role_cd '
        f'V="{role}"/><SVC.observation_dttm V="2018-07-26T15:51:26-08:00"/><SVC.sequence_nbr V="{sequence}"/>'
        f"<PT>{inner}</PT></SVC></{kind}>"
    ).encode()


def observation(value='V="64" U="mmol/mol"', more="", code="HbA1c", naming=""):
    return f'<OBS.observation_id V="{code}" SN="SIEM"{naming}/><OBS.value {value}/>{more}'


def read(*documents, decoder=None, names=None):
    decoder = decoder or PoctDecoder({}, names or {})
    return [item for octets in documents for item in decoder.feed(octets) if isinstance(item, Reading)]


def test_a_result():
    (reading,) = read(document(observation(more='<OBS.method_cd V="C"/><OBS.interpretation_cd V="H"/>')))
    assert (reading.metric, reading.values, reading.units) == ("laboratory", {"hba1c": 64}, {"hba1c": "mmol/mol"})
    assert reading.flags == ("from-memory", "method-calculated", "abnormal-h")
    assert (reading.device_time, reading.quality) == ("2018-07-26T15:51:26", "good")


@pytest.mark.parametrize(
    ("value", "values", "flag", "quality"),
    [
        ('V="7.5"', {"hba1c": 7.5}, None, "good"),
        ('V="&gt;130"', {"hba1c": ">130"}, "hba1c:over-range", "uncertain"),
        ('V="&lt;20"', {"hba1c": "<20"}, "hba1c:under-range", "uncertain"),
        ('V="" NULL="NI"', {}, "hba1c:not-measured", "bad"),
        ('V=""', {}, "hba1c:not-measured", "bad"),
        ('V="---"', {}, "hba1c:not-measured", "bad"),
    ],
)
def test_what_is_no_number(value, values, flag, quality):
    (reading,) = read(document(observation(value)))
    assert (reading.values, reading.quality) == (values, quality)
    assert reading.flags == ("from-memory", *((flag,) if flag else ()))


def test_words_and_names():
    words = '<OBS.observation_id V="94500-6" SN="LN" DN="SARS-CoV-2"/><OBS.qualitative_value V="NEG"/>'
    (reading,) = read(document(words))
    assert reading.values == {"sars_cov_2": "NEG"}
    (named,) = read(document(words), names={"94500-6": "covid"})
    assert named.values == {"covid": "NEG"}


@pytest.mark.parametrize(
    ("role", "kind"), [("LQC", "OBS.R01"), ("CAL", "OBS.R01"), ("PRF", "OBS.R01"), ("OBS", "OBS.R02")]
)
def test_what_is_no_patient(role, kind):
    (reading,) = read(document(observation(), role=role, kind=kind))
    assert (reading.flags, reading.quality) == (("from-memory", "quality-control"), "bad")


def test_a_result_that_comes_again_is_taken_once():
    decoder = PoctDecoder({}, {})
    both = document(observation(), observation(code="eAG"))
    found = read(both, both, decoder=decoder)
    assert len(found) == 2
    assert len(decoder.due) == 2
    assert len(read(document(observation(), sequence="8"), decoder=decoder)) == 1
    (edited,) = read(document(observation('V="63" U="mmol/mol"'), observation(code="eAG")), decoder=decoder)
    assert edited.values == {"hba1c": 63}
    assert len(read(both, decoder=PoctDecoder(dict([found[0].bookmark]), {}))) == 1


def test_documents_in_any_pieces_and_with_frames_of_mllp():
    octets = b"\x0b" + document(observation()) + b"\x1c\r" + document(observation(), sequence="8")
    for size in (1, 7, 1000):
        decoder = PoctDecoder({}, {})
        pieces = [octets[at : at + size] for at in range(0, len(octets), size)]
        assert len(read(*pieces, decoder=decoder)) == 2
        assert decoder.faults.counts == {}


def test_a_document_that_is_not_ended_does_not_cost_the_next():
    decoder = PoctDecoder({}, {})
    whole = document(observation())
    assert len(read(whole[:150], whole, decoder=decoder)) == 1
    assert decoder.faults.counts == {"incomplete": 1}


def test_declarations_without_end_are_dropped_at_once():
    """Each looked at to the end of all would hold up everything else."""
    decoder = PoctDecoder({}, {})
    assert decoder.feed(b"<?" * 1_000_000) == []
    assert len(read(document(observation()), decoder=decoder)) == 1


def test_a_document_type_is_refused_with_its_document():
    decoder = PoctDecoder({}, {})
    bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y">]>' + document(observation())[38:]
    assert read(bomb, document(observation(), sequence="8"), decoder=decoder)[0].values == {"hba1c": 64}
    assert decoder.faults.counts == {"unsupported": 1}
    assert len(decoder.due) == 1


def test_a_session():
    twin = PoctTwin(results=3)
    done = driver_kit.session(PoctAnalyser(), twin, seconds=100)
    assert twin.acknowledged >= 10
    assert len(done.readings) >= 20
    assert done.told == {"model": "DCA Vantage", "serial_number": "S000000", "firmware": "4.4.0.0"}
    said = b"".join(done.sent)
    assert (said.count(b"ROBS"), said.count(b"START_CONTINUOUS")) == (1, 1)


class StatusTwin(PoctTwin):
    """Says how it is again and again, and what happened to it; `refuses` to send results as they arise."""

    refuses = False

    def tick(self):
        if self._ticks and self._ticks % 20 == 0 and self._sent is None:
            self._memory = 1
            self._waiting.append(("EVS.R01", '<EVT><EVT.description V="lid opened"/></EVT>'))
            self._waiting.append(("DST.R01", '<DST><DST.new_observations_qty V="1"/></DST>'))
        return super().tick()

    def hear(self, data):
        out = super().hear(data)
        if b'"START_CONTINUOUS"' in data and self.refuses:
            self._continuous = False
            number = data.partition(b'control_id V="')[2].partition(b'"')[0].decode()
            out += f'<ACK.R01><ACK><ACK.type_cd V="AE"/><ACK.ack_control_id V="{number}"/></ACK></ACK.R01>'.encode()
        return out


@pytest.mark.parametrize("refuses", [False, True])
def test_one_that_sends_as_they_arise_is_asked_for_nothing_more(refuses):
    twin = StatusTwin(results=1)
    twin.refuses = refuses
    done = driver_kit.session(PoctAnalyser(), twin, seconds=100)
    said = b"".join(done.sent)
    assert said.count(b"START_CONTINUOUS") == 1
    assert (said.count(b"ROBS") == 1) is not refuses
    assert twin._sent is None  # events were acknowledged, too


def test_what_could_not_be_stored_is_asked_for_again():
    class Full(PoctAnalyser):
        async def run_session(self, io):
            async def stored(timeout=30.0):
                raise TimeoutError

            io.stored = stored
            await super().run_session(io)

    twin = PoctTwin(results=1)
    done = driver_kit.session(Full(), twin, seconds=60)
    assert twin.acknowledged == 0
    assert b'type_cd V="AE"' in b"".join(done.sent)


def test_the_answers_are_allowed_and_escape_what_they_name():
    for octets in (
        answers.acknowledgement(1, TIME, "10014"),
        answers.acknowledgement(1, TIME, '"><ACK.x V="1', stored=False),
        answers.observations_request(2, TIME),
        answers.continuous_request(3, TIME),
    ):
        assert PoctAnalyser().violation(octets) is None
