"""GET /connections/ID/frames: one WebSocket's frames, live, for the operator."""
import base64
import json

import pytest

from kit import kernel
from kit.admin import Admin, UnixConnection
from kit.frames import BINARY, CLOSE, CONT, PING, TEXT, close_body, frame, open_websocket, read_frame
from kit.wait import wait_until


@pytest.fixture
def start(start, admin_path):
    def make(backend, mirror=True, **parts):
        return start(backend, admin={"socket": str(admin_path), "mirror": mirror}, **parts)
    return make


class Mirror:
    def __init__(self, admin, connection, query=""):
        self.connection = UnixConnection(admin.at)
        self.connection.request("GET", f"/connections/{connection}/frames{query}")
        self.response = self.connection.getresponse()

    def line(self):
        text = self.response.readline()
        return json.loads(text) if text else None

    def frames(self, count):
        return [self.line() for _ in range(count)]

    def close(self):
        self.response.close()  # which holds the socket as well
        self.connection.close()


def id_of(admin):
    (only,) = admin.get("/connections?kind=websocket").json["connections"]
    return only["id"]


def shown(line):
    return line["from"], line["opcode"], line["fin"], line["length"], base64.b64decode(line["payload"])


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("cut", [1, 100000])
def test_frames_of_both_sides_are_shown(start, echo, certs, cut, tls):
    hf, admin = start(echo, tls=tls)
    client = hf.connect(tls=certs.client_context() if tls else None)
    open_websocket(client)
    mirror = Mirror(admin, id_of(admin), "?bytes=5")
    assert (mirror.response.status, mirror.response.headers["content-type"]) == (200, "application/x-ndjson")
    client.send_in_pieces(frame(TEXT, b"hello world") + frame(BINARY, b"ab", fin=False) + frame(PING) + frame(CONT, b"\0" * 300), cut)
    for _ in range(4):
        read_frame(client)
    lines = mirror.frames(8)
    want = [("text", True, 11, b"hello"), ("binary", False, 2, b"ab"), ("ping", True, 0, b""), ("continuation", True, 300, b"\0" * 5)]
    assert [shown(x)[1:] for x in lines if x["from"] == "client"] == want
    want[2] = ("pong", True, 0, b"")
    assert [shown(x)[1:] for x in lines if x["from"] == "backend"] == want
    assert lines == sorted(lines, key=lambda x: x["ms"])
    client.send(frame(CLOSE, close_body(1000, "bye")))
    read_frame(client)
    assert shown(mirror.line()) == ("client", "close", True, 5, close_body(1000, "bye"))
    assert shown(mirror.line())[:2] == ("backend", "close")
    client.close()
    assert mirror.line() is None, "the end of the connection ends the answer"
    hf.wait_log(r"mirror of connection \S+ begins: up to 5 bytes")
    hf.wait_log(r"mirror of connection \S+ ends: 0 frames were left out")


def test_mirror_begins_within_a_frame(start, echo):
    hf, admin = start(echo)
    client = hf.connect()
    open_websocket(client)
    whole = frame(BINARY, b"x" * 1000)
    client.send(whole[:500])
    wait_until(lambda: admin.get("/connections?kind=websocket").json["connections"][0]["bytes_in"] >= 500, "half a frame")
    mirror = Mirror(admin, id_of(admin))
    client.send(whole[500:] + frame(TEXT, b"next"))
    read_frame(client), read_frame(client)
    lines = mirror.frames(3)
    assert sorted(shown(x)[0:2] + (x["length"],) for x in lines) == [("backend", "binary", 1000), ("backend", "text", 4), ("client", "text", 4)]
    mirror.close()


def test_who_asked_may_leave_and_the_connection_lives_on(start, echo):
    hf, admin = start(echo)
    client = hf.connect()
    open_websocket(client)
    for _ in range(3):
        mirror = Mirror(admin, id_of(admin))
        client.send(frame(TEXT, b"x"))
        assert read_frame(client).payload == b"x"
        assert shown(mirror.line())[0] == "client"
        assert Mirror(admin, id_of(admin)).response.status == 404, "one at a time"
        mirror.close()
        wait_until(lambda: hf.log().count("ends: ") == hf.log().count("begins: "), "the mirror's end")
    client.send(frame(TEXT, b"y"))
    assert read_frame(client).payload == b"y"


def test_reader_that_does_not_keep_up_costs_a_buffer(start, echo):
    """What it misses is counted, nobody is held back, and memory does not grow."""
    hf, admin = start(echo, workers=1, route={"websocket": {"ping_interval": 0}})
    client = hf.connect()
    open_websocket(client)
    mirror = Mirror(admin, id_of(admin), "?bytes=1024")
    before = hf.memory_kib()
    for i in range(60):
        client.send(frame(BINARY, b"z" * 1000) * 100)
        for _ in range(100):
            assert len(read_frame(client).payload) == 1000
    assert hf.memory_kib() - before < 8 * 1024
    client.send(frame(CLOSE, close_body(1000)))
    read_frame(client)
    client.close()
    seen = dropped = 0
    while (line := mirror.line()) is not None:
        seen += "opcode" in line
        dropped += line.get("dropped", 0)
    assert dropped > 0 and 10 < seen < 12002
    match = hf.wait_log(r"ends: (\d+) frames were left out")
    assert seen + int(match[1]) == 12002 and dropped <= int(match[1])


@pytest.mark.parametrize("path, mirror, status", [
    ("/connections/0-1-1/frames", False, 403), ("/connections/0-9999-1/frames", True, 404), ("/connections/nonsense/frames", True, 404),
    ("/connections/99-1-1/frames", True, 404), ("/connections/0-1-1/frames?bytes=2000", True, 400),
    ("/connections/0-1-1/frames?bytes=-1", True, 400)])
def test_mirrors_that_are_refused(start, echo, path, mirror, status):
    hf, admin = start(echo, mirror=mirror)
    assert admin.get(path).status == status


def test_read_only_address_shows_no_payloads(holdfast, echo):
    port = kernel.free_port()
    hf = holdfast(echo, admin={"listen": f"127.0.0.1:{port}", "mirror": True})
    assert Admin(port).get("/connections/0-1-1/frames").status == 403


def test_shutdown_ends_mirrors(start, echo):
    hf, admin = start(echo)
    client = hf.connect()
    open_websocket(client)
    mirror = Mirror(admin, id_of(admin))
    assert mirror.response.status == 200
    assert hf.stop() == 0
