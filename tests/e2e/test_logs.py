"""The logs: one line for each thing that happened, true, and not to be forged."""
import json
import os
import re
import signal

import pytest

from kit.backends import answers, ok
from kit.frames import BINARY, CLOSE, PING, TEXT, close_body, frame, open_websocket, read_frame, websocket_play
from kit.process import config_of, run
from kit.raw import Truncated, build_request
from kit.wait import wait_until

COMBINED = re.compile(r'^(?P<client>\S+) - (?P<user>\S+) \[(?P<time>\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] '
                      r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}|-) (?P<bytes>\d+|-) '
                      r'"(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"')
ISO = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$")


# ---- requests ----

def test_one_json_line_a_request(holdfast, make_origin):
    origin = make_origin(lambda r, c: ok("x" * 1000))
    hf = holdfast(origin)
    client = hf.connect()
    for i in range(20):
        client.request(f"/page/{i}?q={i}", "POST", [("User-Agent", "tester"), ("Referer", "http://from/")], b"y" * 500)
    lines = hf.wait_access(count=20)
    assert len(lines) == 20
    for i, line in enumerate(lines):
        assert ISO.match(line["time"])
        want = {"client": "127.0.0.1", "method": "POST", "status": 200, "host": "localhost", "listener": "web", "route": "all",
                "cluster": "c", "endpoint": origin.address, "user_agent": "tester", "referer": "http://from/"}
        assert {k: line.get(k) for k in want} == want
        assert line["path"] == f"/page/{i}?q={i}" or (line["path"], line["query"]) == (f"/page/{i}", f"q={i}")
        assert line["bytes_in"] >= 500 and line["bytes_out"] >= 1000
        assert line["duration_ms"] >= 0
        assert line["request_id"] == origin.requests[i].get("x-request-id")


def test_trusted_proxies_client_is_the_one_in_the_log(holdfast, origin):
    hf = holdfast(origin, trusted_proxies=["127.0.0.1"])
    hf.request(headers=[("X-Forwarded-For", "203.0.113.9")])
    assert hf.wait_access()[0]["client"] == "203.0.113.9"


def test_refused_request_has_a_line_with_its_reason(holdfast, origin):
    hf = holdfast(origin)
    hf.connect().send(b"NONSENSE\r\n\r\n").read_response()
    (line,) = hf.wait_access()
    assert line["status"] == 400 and line["reason"] == "bad_request"


def test_respond_and_404_have_lines(holdfast):
    hf = holdfast(routes=[{"name": "here", "path": "/here", "respond": {"status": 204}}], workers=1)  # lines in order
    hf.request("/here")
    hf.request("/elsewhere")
    here, elsewhere = hf.wait_access(count=2)
    assert (here["route"], here["status"]) == ("here", 204)
    assert (elsewhere["status"], elsewhere["reason"]) == (404, "no_route")


def test_cut_response_has_a_line_that_says_so(holdfast, make_origin):
    hf = holdfast(make_origin(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "close")))
    client = hf.connect().send(build_request())
    with pytest.raises((Truncated, ConnectionError)):
        client.read_response()
    (line,) = hf.wait_access()
    assert line["status"] == 200 and line["reason"] == "backend_truncated"


def test_client_that_leaves_has_a_line_that_says_so(holdfast, make_origin):
    origin = make_origin(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "wait"))
    hf = holdfast(origin)
    client = hf.connect().send(build_request())
    client.read_exactly(20)
    client.reset()
    (line,) = hf.wait_access()
    assert line["reason"] in ("client_reset", "client_closed")


def test_combined_lines(holdfast, origin):
    hf = holdfast(origin, workers=1, log={"access": {"path": "-", "format": "combined"}})
    response = hf.request("/a?b", headers=[("User-Agent", 'quo"ted\\'), ("Referer", "http://x/")])
    hf.connect().send(b"\x01\x02 nonsense\r\n\r\n").read_response()
    text = wait_until(lambda: (t := hf.access_text()).count("\n") == 2 and t, "two lines")
    first, second = (COMBINED.match(x) for x in text.splitlines())
    assert first["client"] == "127.0.0.1" and first["request"] == "GET /a?b HTTP/1.1" and first["status"] == "200"
    assert first["referer"] == "http://x/" and '\\"' in first["agent"] or "\\x22" in first["agent"]
    assert second["status"] == "400" and text.endswith(" reason=bad_request\n")
    assert first["bytes"] == str(len(response.body)), "of the body alone"


def test_access_log_can_be_off(holdfast, origin):
    hf = holdfast(origin, log={"level": "info"})
    hf.request()
    hf.stop()
    assert hf.access_text() == ""


def test_sample_keeps_about_its_share(holdfast):
    hf = holdfast(routes=[{"respond": {"status": 204}}],
                  log={"access": {"path": "-", "format": "json", "sample": "25%"}})
    for _ in range(400):
        hf.request()
    hf.stop()
    assert 40 <= len(hf.access()) <= 180


# ---- WebSockets ----

def test_websocket_has_a_line_at_open_and_one_at_close(holdfast, echo):
    hf = holdfast(echo)
    client = hf.connect()
    open_websocket(client, "/chat?room=1")
    (opened,) = hf.wait_access()
    assert (opened["event"], opened["status"], opened["route"], opened["endpoint"]) == ("open", 101, "all", echo.address)
    for i in range(10):
        client.send(frame(BINARY, b"x" * 100))
        read_frame(client)
    client.send(frame(PING, "not a message"))
    read_frame(client)
    client.send(frame(CLOSE, close_body(4000, "enough")))
    assert read_frame(client).code == 4000
    client.ends()
    _, closed = hf.wait_access(count=2)
    assert closed["event"] == "close" and closed["request_id"] == opened["request_id"]
    assert (closed["messages_in"], closed["messages_out"]) == (10, 10)
    assert closed["bytes_in"] >= 1000 and closed["bytes_out"] >= 1000
    assert closed["close_code"] == 4000 and closed["closed_by"] == "client"
    assert closed["duration_ms"] >= 0
    assert len(hf.access()) == 2


def test_backend_that_closes_is_named(holdfast, make_raw):
    async def script(conn):
        await conn.send(frame(CLOSE, close_body(1000), mask=False))
        await conn.read_to_end()
    hf = holdfast(make_raw(websocket_play(script)))
    client = hf.connect()
    open_websocket(client)
    assert read_frame(client).code == 1000
    client.send(frame(CLOSE, close_body(1000)))
    (line,) = hf.wait_access(lambda x: x["event"] == "close")
    assert (line["close_code"], line["closed_by"]) == (1000, "backend")


@pytest.mark.parametrize("how, reasons", [("close", ("client_closed", "websocket_peer_gone")),
                                          ("reset", ("client_reset", "client_closed", "websocket_peer_gone"))])
def test_vanished_client_is_named(holdfast, echo, how, reasons):
    hf = holdfast(echo)
    client = hf.connect()
    open_websocket(client)
    getattr(client, how)()
    (line,) = hf.wait_access(lambda x: x["event"] == "close")
    assert line["closed_by"] == "client" and line["reason"] in reasons


def test_proxy_that_closes_is_named(holdfast, echo):
    hf = holdfast(echo, shutdown={"grace": "5s"})
    client = hf.connect()
    open_websocket(client)
    hf.send_signal(signal.SIGTERM)
    assert read_frame(client).code == 1001
    client.close()
    assert hf.wait_end() == 0
    (line,) = [x for x in hf.access() if x["event"] == "close"]
    assert (line["close_code"], line["closed_by"], line["reason"]) == (1001, "proxy", "shutdown")


@pytest.mark.parametrize("events, want", [(["open"], ["open"]), (["close"], ["close"]), (["open", "close"], ["open", "close"])])
def test_events_choose_the_lines_of_a_websocket(holdfast, echo, events, want):
    hf = holdfast(echo, log={"access": {"path": "-", "format": "json", "events": events}})
    client = hf.connect()
    open_websocket(client)
    client.send(frame(CLOSE, close_body(1000)))
    read_frame(client)
    client.ends()
    hf.stop()
    assert [x["event"] for x in hf.access()] == want


def test_combined_lines_of_a_websocket(holdfast, echo):
    hf = holdfast(echo, log={"access": {"path": "-", "format": "combined"}})
    client = hf.connect()
    open_websocket(client)
    client.send(frame(TEXT, "x") + frame(CLOSE, close_body(1000)))
    read_frame(client)
    read_frame(client)
    client.ends()
    hf.stop()
    lines = hf.access_text().splitlines()
    assert len(lines) == 2 and all(COMBINED.match(x)["status"] == "101" for x in lines)
    assert lines[0].endswith(" event=open")
    assert re.search(r' event=close duration_ms=[\d.]+ bytes_in=\d+ messages_in=1 messages_out=1 close_code=1000 closed_by=client', lines[1])


# ---- timeouts name their key ----

@pytest.mark.parametrize("listener, cluster, first, status, key", [
    ({"timeouts": {"header": "200ms"}}, {}, b"GET / HT", 408, "timeouts.header"),
    ({"timeouts": {"body": "200ms"}}, {}, build_request("/", "POST", [("Content-Length", "9")]), 408, "timeouts.body"),
    ({}, {"timeouts": {"response": "200ms"}}, build_request(), 504, "timeouts.response"),
    ({"http": {"max_body_size": "1KiB"}}, {}, build_request("/", "POST", [("Content-Length", "9000")]), 413,
     "http.max_body_size"),
    ({"http": {"max_header_size": "1KiB"}}, {}, build_request(headers=[("X", "y" * 2000)]), 431, "http.max_header_size")])
def test_refusal_names_the_key_that_caused_it(holdfast, make_origin, listener, cluster, first, status, key):
    hf = holdfast(make_origin(answers(b"", "wait")), listener=listener, cluster=cluster)
    client = hf.connect().send(first)
    assert client.read_response().status == status
    (line,) = hf.wait_access()
    assert line["status"] == status and line["key"] == key


def test_websocket_idle_timeout_names_its_key_in_log_and_close(holdfast, echo):
    hf = holdfast(echo, route={"websocket": {"idle_timeout": "300ms"}})
    client = hf.connect()
    open_websocket(client)
    got = read_frame(client)
    assert got.code == 1001 and "websocket.idle_timeout" in got.reason
    (line,) = hf.wait_access(lambda x: x["event"] == "close")
    assert line["key"] == "websocket.idle_timeout" and line["closed_by"] == "proxy"


# ---- files ----

@pytest.mark.parametrize("kind", ["json", "combined"])
def test_log_is_opened_again_on_sigusr1(holdfast, directory, kind):
    path, old = directory / "access.log", directory / "access.log.1"
    hf = holdfast(routes=[{"respond": {"status": 204}}], log={"access": {"path": str(path), "format": kind}})
    hf.request("/before")
    wait_until(lambda: "/before" in path.read_text(), "the first line")
    path.rename(old)
    hf.request("/renamed")
    wait_until(lambda: "/renamed" in old.read_text(), "a line in the renamed file")
    hf.send_signal(signal.SIGUSR1)
    wait_until(path.exists, "the new file")
    hf.request("/after")
    wait_until(lambda: "/after" in path.read_text(), "a line in the new file")
    assert "/after" not in old.read_text()


def test_log_file_is_appended_to(holdfast, directory):
    path = directory / "access.log"
    path.write_text("from before\n")
    hf = holdfast(routes=[{"respond": {"status": 204}}], log={"access": {"path": str(path), "format": "json"}})
    hf.request()
    wait_until(lambda: path.read_text().count("\n") == 2, "a second line")
    assert path.read_text().startswith("from before\n")


def test_log_that_cannot_be_opened_is_told_at_start(directory):
    file = directory / "holdfast.yaml"
    file.write_text(json.dumps(config_of(routes=[{"respond": {"status": 204}}],
                                         log={"access": {"path": str(directory / "no" / "where.log")}})))
    done = run("-c", file)
    assert done.returncode == 1 and "where.log" in done.err


def test_reader_that_does_not_read_blocks_nobody(holdfast, directory):
    """The access log into a FIFO that nobody empties: requests go on."""
    path = directory / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    hf = holdfast(routes=[{"respond": {"status": 204}}], workers=1,
                  log={"access": {"path": str(path), "format": "json"}})
    client = hf.connect()
    for _ in range(20):
        client.send(build_request("/" + "x" * 200) * 200)
        for _ in range(200):
            assert client.read_response().status == 204
    os.close(reader)


def test_process_log_can_be_json(holdfast):
    hf = holdfast(routes=[{"respond": {"status": 204}}], log={"level": "debug", "format": "json"})
    hf.request()
    hf.stop()
    lines = [json.loads(x) for x in hf.log().splitlines()]
    assert lines and all({"time", "level", "message"} <= set(x) for x in lines)


# ---- forging ----

FORGED = '{"status":200,"path":"/forged"}'
INPUTS = [
    ("target", b"GET /%0a" + FORGED.encode().replace(b'"', b"%22") + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("quote in the target", b'GET /","status":200,"x":" HTTP/1.1\r\nHost: x\r\n\r\n'),
    ("user agent", build_request(headers=[("User-Agent", '","status":299,"x":"' + "\\")])),
    ("referer with bytes", build_request(headers=[("Referer", "\xff\xfe\x80 \t \u0080")])),
    ("host", b'GET / HTTP/1.1\r\nHost: x"y\r\n\r\n'),
    ("method", b'G"ET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    ("raw newline", b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a\n" + FORGED.encode() + b"\r\n\r\n"),
    ("escape sequence", b"GET /\x1b[2J HTTP/1.1\r\nHost: x\r\nUser-Agent: \x1b]0;x\x07\r\n\r\n"),
    ("line separators", build_request("/", headers=[("User-Agent", "\u00e2\u0080\u00a8\u00c2\u0085")])),
]


@pytest.mark.parametrize("kind", ["json", "combined"])
@pytest.mark.parametrize("data", [i[1] for i in INPUTS], ids=[i[0] for i in INPUTS])
def test_no_line_can_be_forged(holdfast, origin, kind, data):
    hf = holdfast(origin, log={"level": "debug", "access": {"path": "-", "format": kind}})
    client = hf.connect().send(data)
    status = client.read_response().status
    text = wait_until(hf.access_text, "a line")
    hf.stop()
    assert hf.access_text() == text and text.count("\n") == 1 and text.endswith("\n")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text), "no control characters"
    if kind == "json":
        assert json.loads(text)["status"] == status
    else:
        assert COMBINED.match(text)["status"] == str(status)
    for line in hf.log().splitlines():
        assert re.match(r"^(\d{4}-\d\d-\d\dT|\S+:\d+:\d+: |holdfast)", line) and "\x1b" not in line, line


def test_close_reason_of_a_peer_cannot_forge_a_line(holdfast, echo):
    hf = holdfast(echo)
    client = hf.connect()
    open_websocket(client)
    client.send(frame(CLOSE, close_body(4000, '"}\n' + FORGED)))
    read_frame(client)
    client.ends()
    hf.stop()
    assert [x["event"] for x in hf.access()] == ["open", "close"]


@pytest.mark.limit(120)
def test_every_request_of_many_has_exactly_one_line(holdfast, origin):
    hf = holdfast(origin, workers=2)
    clients = [hf.connect() for _ in range(8)]
    for n in range(50):
        for i, client in enumerate(clients):
            client.send(build_request(f"/{i}/{n}") * 1)
        for client in clients:
            client.read_response()
    lines = hf.wait_access(count=400)
    paths = sorted(x["path"] for x in lines)
    assert paths == sorted(f"/{i}/{n}" for i in range(8) for n in range(50))
