"""`resolution=` of a device's history."""

from __future__ import annotations

from tests.api.fakes import START

DATA = "/api/v1/devices/oximeter-1/data"


async def test_resolution_answers_curves(app, http):
    for number in (97, 91, 95):
        await app.take(spo2=number)
    answer = (await http.get(DATA, params={"resolution": "5m", "until": "2024-11-19T00:00:00Z"})).json()
    assert (answer["device_id"], answer["resolution"], answer["complete"]) == ("oximeter-1", 300, True)
    [curve] = answer["series"]
    assert (curve["metric"], curve["name"], curve["unit"]) == ("pulse_oximetry", "spo2", "%")
    [[start, *rest]] = curve["points"]
    assert START // 10**6 - 300 < start <= START // 10**6 + 600
    assert start % 300 == 0
    assert rest == [3, 91, 97, 94.3333, 95]


async def test_auto_takes_a_few_hundred_points_and_values_are_chosen(app, http):
    await app.take()
    query = {"resolution": "auto", "since": "2024-10-20T00:00:00Z", "until": "2024-11-19T00:00:00Z"}
    answer = (await http.get(DATA, params=query)).json()
    assert answer["resolution"] == 7200
    assert (await http.get(DATA, params={**query, "values": "heart_rate"})).json()["series"] == []


async def test_wrong_questions_say_what_is_wrong(app, http):
    for query, word in (
        ({"resolution": "soon"}, "resolution"),
        ({"resolution": "100ms"}, "whole seconds"),
        ({"resolution": "1s"}, "2000 buckets"),
        ({"resolution": "99999999999999999d"}, "400 days"),
        ({"resolution": "1m", "limit": 5}, "limit"),
        ({"resolution": "1d", "since": "2020-01-01T00:00:00Z"}, "400 days"),
        ({"resolution": "1d", "since": "2024-11-19T00:00:00Z", "until": "2024-11-18T00:00:00Z"}, "since"),
        ({"values": "spo2"}, "resolution"),
    ):
        answer = await http.get(DATA, params=query)
        assert answer.status_code == 422, query
        assert word in answer.json()["error"]["message"]


async def test_a_known_device_without_readings_has_no_curve_and_an_unknown_one_is_not_found(app, http):
    answer = await http.get("/api/v1/devices/cuff-3/data", params={"resolution": "auto"})
    assert answer.json()["series"] == []
    assert (await http.get("/api/v1/devices/nobody/data", params={"resolution": "auto"})).status_code == 404
