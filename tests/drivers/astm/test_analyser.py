"""astm-analyser: any analyte, what is no number, controls, frames as analysers send them, results that come again."""

import json
from pathlib import Path

import msgspec
import pytest

from gatepost.drivers.reading import Reading
from gatepost.drivers.serial.astm.analyser import AnalyserDecoder
from gatepost.drivers.serial.astm.driver import AstmAnalyser
from gatepost.drivers.serial.astm.frames import MAX_FRAME_LENGTH, AstmFrame, encode_frame
from gatepost.drivers.serial.astm.twin import AnalyserTwin
from gatepost.drivers.testing import driver_kit

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "bedside" / "astm.json").read_text("utf-8"))["vectors"]
HEAD = "H|\\^&|||c311^1|||||host|RSUPL^REAL|P|1"
ORDER = "O|1|S1||^^^ALL|R||||||N||||SC"


def message(*records):
    return b"\x05" + encode_frame(AstmFrame(1, True, "\r".join([*records, "L|1|N", ""]).encode("latin-1"))) + b"\x04"


def results(octets, decoder=None, names=None):
    decoder = decoder or AnalyserDecoder({}, names or {})
    return [item for item in decoder.feed(octets) if isinstance(item, Reading)]


def one(fields, head=HEAD, order=ORDER, **more):
    (reading,) = results(message(head, "P|1", order, f"R|1|{fields}"), **more)
    return reading


def test_results_are_named_by_their_analytes():
    octets = b"".join(bytes.fromhex(chunk) for chunk in VECTORS[1]["chunks"])
    alt, ast, *_ = results(octets, names={"687": "ast"})
    assert (alt.metric, alt.values, alt.units) == ("laboratory", {"code_685": 22.4}, {"code_685": "U/l"})
    assert alt.flags == ("from-memory", "abnormal-a")
    assert (ast.values, ast.flags, ast.quality) == ({"ast": 15.0}, ("from-memory",), "good")


@pytest.mark.parametrize(
    ("shown", "values", "why", "quality"),
    [
        ("NEGATIVE", {"crp": "NEGATIVE"}, None, "good"),
        (">500", {"crp": ">500"}, "over-range", "uncertain"),
        ("<0.3", {"crp": "<0.3"}, "under-range", "uncertain"),
        ("-----", {}, "not-measured", "bad"),
        ("", {}, "not-measured", "bad"),
        ("x" * 65, {}, "not-measured", "bad"),
    ],
)
def test_what_is_no_number(shown, values, why, quality):
    reading = one(f"^^^CRP|{shown}|mg/L||N||F")
    assert (reading.values, reading.units, reading.quality) == (values, {}, quality)
    assert reading.flags[1:] == ((f"crp:{why}",) if why else ())


@pytest.mark.parametrize(
    ("order", "head", "flag"),
    [
        (ORDER.replace("|N|", "|Q|"), HEAD, "quality-control"),
        (ORDER.replace("|SC", "|Control"), HEAD, "quality-control"),
        (ORDER.replace("S1||", "S1|1^^4^^QC^SC|"), HEAD, "quality-control"),
        (ORDER, HEAD.replace("|P|", "|Q|"), "quality-control"),
        (ORDER, HEAD.replace("|P|", "|T|"), "test-data"),
    ],
)
def test_what_is_no_patient(order, head, flag):
    reading = one("^^^GLU|5.4|mmol/L||N||F", head=head, order=order)
    assert reading.flags == ("from-memory", flag)
    assert (reading.values, reading.quality) == ({"glu": 5.4}, "bad")


def test_a_control_before_does_not_mark_the_next_patient():
    control = ORDER.replace("|N|", "|Q|")
    found = results(message(HEAD, "P|1", control, "R|1|^^^A|1|u", "P|2", "R|1|^^^A|2|u", "O|1|S2", "R|1|^^^A|3|u"))
    assert [reading.quality for reading in found] == ["bad", "good", "good"]


@pytest.mark.parametrize(("state", "flag"), [("P", "preliminary"), ("C", "corrected"), ("F", None)])
def test_states(state, flag):
    assert one(f"^^^A|1|u||N||{state}").flags == ("from-memory", *((flag,) if flag else ()))


def test_a_result_of_questionable_validity():
    reading = one("^^^A|1|u||N||W")
    assert (reading.values, reading.flags[1:], reading.quality) == ({"a": 1}, ("a:questionable",), "uncertain")


@pytest.mark.parametrize(
    ("test", "name"), [("^^^^WBC^1", "wbc"), ("^^^A/G", "a_g"), ("687/", "code_687"), ("GLU", "glu")]
)
def test_names(test, name):
    assert one(f"{test}|1|u").values == {name: 1}


def test_delimiters_and_large_frames_of_a_genexpert():
    head = "H@^\\|@@@GeneXpert^1@@@@@host@@P@1394-97@20240101"
    long = "C@1@I@" + "x" * 9000 + "@N"
    (reading,) = results(message(head, "P@1", "O@1@S1", long, "R@1@\\\\\\MTB@POSITIVE\\1250@u"))
    assert (reading.values, reading.units) == ({"mtb": "POSITIVE", "mtb_quantity": 1250}, {"mtb_quantity": "u"})


def test_the_parts_of_a_result_are_not_the_result():
    """As GeneXpert tells a result, its probes, their cycle thresholds and end points."""
    assay = "^MTB-RIF^^Xpert"
    told = [
        (f"{assay}^Xpert MTB-RIF Ultra^4^MTB^", "NOT DETECTED^", {"xpert": "NOT DETECTED"}),
        (f"{assay}^^^rpoB1^", "INVALID^", {"xpert_rpob1": "INVALID"}),
        (f"{assay}^^^rpoB1^Ct", "^0.0", {"xpert_rpob1_ct": 0.0}),
        (f"{assay}^^^rpoB1^EndPt", "^-2.0", {"xpert_rpob1_endpt": -2.0}),
        (f"{assay}^^^SPC^Ct", "^24.7", {"xpert_spc_ct": 24.7}),
        (f"{assay}^^^^", "FAIL^", {"xpert_other": "FAIL"}),
        ("^MTB-RIF^^RIF^Xpert MTB-RIF Ultra^4^RIF Resistance^", "^", {}),
        ("^MTB-RIF^^RIF^^^SPC^Ct", "^24.7", {"rif_spc_ct": 24.7}),
    ]
    sent = [f"R|{place}|{test}|{shown}|||" for place, (test, shown, _) in enumerate(told, 1)]
    found = results(message("H|@^\\|1||GeneXpert^4.8|||||LIS||P|1394-97", "P|1", "O|1|S1", *sent))
    assert [reading.values for reading in found] == [values for *_, values in told]
    assert found[6].flags[-1] == "rif:not-measured"


def test_final_result_interpretation_and_signal_are_three_values():
    test = "^^^0021^B-hCG^UNDILUTED^P^47331M100^00788^"
    rows = [f"R|1|{test}^F|< 1.20|mIU/mL||||F", f"R|2|{test}^I|NEGATIVE|||||F", f"R|3|{test}^P|9245|RLU||||F"]
    found = results(message(HEAD, "P|1", ORDER, *rows, "O|2|S2", rows[2]), names={"0021": "hcg"})
    assert [reading.values for reading in found] == [
        {"hcg": "< 1.20"}, {"hcg_i": "NEGATIVE"}, {"hcg_p": 9245}, {"hcg": 9245},
    ]  # fmt: skip


def test_a_number_beside_another_has_the_unit():
    reading = one("^^^HBS|-1^0.478|COI||N||F")
    assert (reading.values, reading.units) == ({"hbs": -1, "hbs_quantity": 0.478}, {"hbs_quantity": "COI"})


def test_frames_up_to_the_limit():
    start = "\r".join((HEAD, "P|1", ORDER, "R|1|^^^A|1|u", "M|1|"))
    fitting = start + "x" * (MAX_FRAME_LENGTH - len(start) - 20) + "\r"
    octets = b"\x05" + encode_frame(AstmFrame(1, True, fitting.encode())) + b"\x04"
    decoder = AnalyserDecoder({}, {})
    assert len(results(octets, decoder)) == 1
    assert [ask.answer for ask in decoder.asks] == [b"\x06"] * 2
    beyond = b"\x05" + encode_frame(AstmFrame(1, True, (fitting + "x" * 100).encode()))
    decoder = AnalyserDecoder({}, {})
    assert results(beyond, decoder) == []
    assert decoder.asks[1].answer == b"\x15"


@pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\n", b""])
def test_however_a_frame_ends(end):
    octets = message(HEAD, "R|1|^^^A|1|u").replace(b"\r\n", end)
    decoder = AnalyserDecoder({}, {})
    found = [item for octet in octets for item in results(bytes((octet,)), decoder)]
    assert [reading.values for reading in found] == [{"a": 1}]
    assert [ask.answer for ask in decoder.asks] == [b"\x06"] * 2
    assert decoder.faults.counts == {}


def test_a_curve_over_many_frames_hides_no_result():
    records = "\r".join((HEAD, "P|1", ORDER, "M|1|" + "R|1|^^^B|7|u" * 2000, "R|1|^^^A|1|u", "")).encode()
    parts = [records[at : at + 240] for at in range(0, len(records), 240)]
    sent = [encode_frame(AstmFrame((i + 1) % 8, part is parts[-1], part)) for i, part in enumerate(parts)]
    decoder = AnalyserDecoder({}, {})
    found = results(b"\x05" + b"".join(sent) + b"\x04", decoder)
    assert [reading.values for reading in found] == [{"a": 1}]
    assert decoder.faults.counts == {}


def test_a_message_that_comes_again_is_taken_once():
    sent = message(HEAD, "P|1", ORDER, "R|1|^^^A|1|u", "R|2|^^^A|1|u")
    first = AnalyserDecoder({}, {})
    found = results(sent, first)
    assert len(found) == 2
    assert results(sent, first) == []
    stored_one = AnalyserDecoder(dict([found[0].bookmark]), {})
    assert len(results(sent, stored_one)) == 1
    another = message(HEAD, "P|1", ORDER.replace("S1", "S2"), "R|1|^^^A|1|u")
    assert len(results(another, first)) == 1


def test_the_twin_and_its_controls():
    done = driver_kit.session(AstmAnalyser(), AnalyserTwin(), seconds=120)
    assert {"from-memory", "quality-control"} <= {flag for reading in done.readings for flag in reading.flags}
    assert set(done.sent) == {b"\x06"}
    named = AstmAnalyser(msgspec.convert({"names": {"685": "alt"}}, AstmAnalyser.options_type))
    assert any("alt" in reading.values for reading in driver_kit.session(named, AnalyserTwin(), seconds=30).readings)
