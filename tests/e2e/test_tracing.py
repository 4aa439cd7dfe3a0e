"""Traces: traceparent (W3C Trace Context) as it passes, and as it is made; ids in logs and headers."""
import re

import pytest

from kit.frames import CLOSE, close_body, echo_frames, frame, open_websocket, read_frame, websocket_play

ID, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{ID}-{PARENT}-01"
FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])")
MAKE = {"tracing": {"traceparent": "make"}}


@pytest.mark.parametrize("tracing", [{}, MAKE], ids=["pass", "make"])
def test_trace_of_a_client_passes_and_is_logged(holdfast, origin, tracing):
    hf = holdfast(origin, **tracing)
    hf.request(headers=[("traceparent", GOOD), ("tracestate", "a=1,b=2"), ("tracestate", "c=3")])
    seen = origin.requests[0]
    assert seen.all("traceparent") == [GOOD] and seen.all("tracestate") == ["a=1,b=2", "c=3"]
    line = hf.wait_access()[0]
    assert line["trace_id"] == ID and line["request_id"] == seen.get("x-request-id") != ID


def test_without_a_trace_nothing_is_made_of_its_own_accord(holdfast, origin):
    hf = holdfast(origin)
    hf.request()
    assert origin.requests[0].all("traceparent") == [] and "trace_id" not in hf.wait_access()[0]


@pytest.mark.parametrize("headers", [
    [], [("traceparent", "nonsense")], [("traceparent", GOOD), ("Traceparent", GOOD)],
    [("traceparent", "ff" + GOOD[2:])], [("traceparent", GOOD.upper())],
], ids=["none", "nonsense", "two", "version ff", "upper case"])
def test_trace_begins_here_where_there_is_none(holdfast, origin, headers):
    hf = holdfast(origin, **MAKE)
    hf.request(headers=[*headers, ("tracestate", "of=nothing")])
    (made,) = origin.requests[0].all("traceparent")
    trace, parent, flags = FORM.fullmatch(made).groups()
    assert int(trace, 16) and int(parent, 16) and flags == "00"
    assert origin.requests[0].all("tracestate") == []
    line = hf.wait_access()[0]
    assert line["trace_id"] == line["request_id"] == trace


def test_share_that_is_sampled(holdfast, origin):
    hf = holdfast(origin, tracing={"traceparent": "make", "sample": "50%"})
    client = hf.connect()
    for _ in range(60):
        client.request()
    flags = [FORM.fullmatch(r.get("traceparent"))[3] for r in origin.requests]
    assert {"00", "01"} == set(flags)
    assert len({r.get("traceparent") for r in origin.requests}) == 60


def test_websocket_has_one_too_and_its_id_at_open_and_close(holdfast, make_raw):
    echo = make_raw(websocket_play(echo_frames))
    hf = holdfast(echo, **MAKE)
    client = hf.connect()
    open_websocket(client)
    client.send(frame(CLOSE, close_body(1000)))
    read_frame(client)
    opened, closed = hf.wait_access(count=2)
    assert f"Traceparent: 00-{opened['trace_id']}-" in echo.conns[0].head
    assert closed["trace_id"] == opened["trace_id"] == opened["request_id"]


def test_ids_may_be_told_to_the_client(holdfast, origin):
    hf = holdfast(origin, route={"response_headers": {"set": {"X-Request-Id": "$request_id", "X-Trace": "$trace_id"}}})
    answer = hf.request(headers=[("traceparent", GOOD)])
    assert answer.get("x-request-id") == origin.requests[0].get("x-request-id") and answer.get("x-trace") == ID
