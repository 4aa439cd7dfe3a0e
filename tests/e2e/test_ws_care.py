"""What the proxy does for a WebSocket of its own: pings, limits, slow clients, lifetimes, closing."""
import asyncio
import os
import time

import pytest

from kit.frames import (BINARY, CLOSE, CONT, PING, PONG, TEXT, close_body, echo_frames, frame, open_websocket, read_frame,
                        read_frame_from, websocket_play)
from kit.raw import Truncated
from kit.servers import ws_connect
from kit.wait import stays, wait_still, wait_until

MIB = 1 << 20
PINGS = {"ping_interval": "1s", "pong_timeout": "2s"}
NEVER_DEAD = {"ping_interval": "1s", "pong_timeout": "1h"}


@pytest.fixture
def echo(make_raw):
    """A backend that echoes frames one by one as they are."""
    return make_raw(websocket_play(echo_frames))


def frames_until_end(client):
    got = []
    try:
        while True:
            got.append(read_frame(client))
    except (Truncated, ConnectionError):
        return got


# ---- heartbeats ----

@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_idle_client_is_pinged_and_its_pong_stays_with_the_proxy(holdfast, quiet, certs, tls):
    hf = holdfast(quiet, route={"websocket": PINGS}, tls=tls)
    client = hf.connect(tls=certs.client_context()) if tls else hf.connect()
    open_websocket(client)
    for _ in range(3):
        ping = read_frame(client)
        assert (ping.opcode, ping.fin, ping.masked, len(ping.payload)) == (PING, True, False, 8)
        client.send(frame(PONG, ping.payload))
    client.send(frame(TEXT, "after"))
    quiet.wait(lambda b: b.conns[0].frames, "the text")
    assert [(f.opcode, f.payload) for f in quiet.conns[0].frames] == [(TEXT, b"after")]


def test_next_ping_does_not_wait_for_the_pong_timeout(holdfast, quiet):
    client = holdfast(quiet, route={"websocket": NEVER_DEAD}).connect()
    open_websocket(client)
    for _ in range(3):
        ping = read_frame(client)
        client.send(frame(PONG, ping.payload))


def test_pings_differ(holdfast, quiet):
    hf = holdfast(quiet, route={"websocket": PINGS})
    clients = [hf.connect() for _ in range(4)]
    for client in clients:
        open_websocket(client)
    seen = set()
    for _ in range(2):
        for client in clients:
            ping = read_frame(client)
            seen.add(ping.payload)
            client.send(frame(PONG, ping.payload))
    assert len(seen) == 8


@pytest.mark.parametrize("size", [1, 3, 7])
def test_own_pong_is_known_however_it_is_cut(holdfast, quiet, size):
    """And nobody else's: the application's pongs around it pass unchanged, in order."""
    client = holdfast(quiet, route={"websocket": PINGS}).connect()
    open_websocket(client)
    ping = read_frame(client)
    other = bytes(b ^ 1 for b in ping.payload)
    client.send_in_pieces(frame(PONG, b"unasked") + frame(TEXT, b"a", fin=False) + frame(PONG, other) +
                          frame(PONG, ping.payload) + frame(CONT, b"b") + frame(PONG) + frame(PONG, b"x" * 125) +
                          frame(PONG, ping.payload) + frame(TEXT, b"end"), size)
    quiet.wait(lambda b: b.conns[0].frames and b.conns[0].frames[-1].payload == b"end", "the last text")
    assert [(f.opcode, f.payload, f.fin) for f in quiet.conns[0].frames] == [
        (PONG, b"unasked", True), (TEXT, b"a", False), (PONG, other, True), (CONT, b"b", True), (PONG, b"", True),
        (PONG, b"x" * 125, True), (PONG, ping.payload, True),  # the second one answers nothing any more
        (TEXT, b"end", True)]


def test_applications_pings_pass_both_ways(holdfast, make_websocket):
    async def handler(server):
        await asyncio.wait_for(await server.ping(b"from the server"), 10)
        await server.send("pinged")
        await server.wait_closed()
    hf = holdfast(make_websocket(handler), route={"websocket": PINGS})

    async def main():
        async with ws_connect(hf.url("/", "ws")) as client:
            assert await client.recv() == "pinged"
            for _ in range(8):
                await asyncio.wait_for(await client.ping(os.urandom(8)), 10)
                await asyncio.sleep(0.3)
    asyncio.run(main())


def test_talking_client_is_not_pinged(holdfast, echo):
    client = holdfast(echo, route={"websocket": PINGS}).connect()
    open_websocket(client)
    for _ in range(8):
        client.send(frame(TEXT, "still here"))
        assert read_frame(client).opcode == TEXT
        assert client.is_silent(0.3)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_dead_client_is_closed_at_both_ends(holdfast, quiet, certs, tls):
    hf = holdfast(quiet, route={"websocket": PINGS}, tls=tls)
    client = hf.connect(tls=certs.client_context()) if tls else hf.connect()
    open_websocket(client)
    quiet.wait(lambda b: b.conns and b.conns[0].ended, "the end at the backend")
    last = quiet.conns[0].frames[-1]
    assert (last.opcode, last.code, last.masked) == (CLOSE, 1001, True) and "websocket.pong_timeout" in last.reason
    got = frames_until_end(client)
    assert [f.opcode for f in got] == [PING, CLOSE]
    (line,) = hf.wait_access(lambda x: x["event"] == "close")
    assert (line["reason"], line["closed_by"], line["key"]) == ("client_dead", "client", "websocket.pong_timeout")


def test_client_that_sends_anything_is_not_dead(holdfast, quiet):
    """It answers no ping, yet it is heard."""
    client = holdfast(quiet, route={"websocket": {"ping_interval": "1s", "pong_timeout": "1s"}}).connect()
    open_websocket(client)
    assert read_frame(client).opcode == PING
    until = time.monotonic() + 3
    while time.monotonic() < until:
        client.send(frame(TEXT, "busy"))
        assert client.is_silent(0.2)
    assert frames_until_end(client)[-1].code == 1001, "now it is"


def test_silent_backend_is_pinged_where_asked_for(holdfast, quiet):
    client = holdfast(quiet, route={"websocket": {"ping_interval": 0, "backend_ping_interval": "1s", "pong_timeout": "2s"}}).connect()
    open_websocket(client)
    close = read_frame(client)
    assert (close.opcode, close.code) == (CLOSE, 1012) and "websocket.pong_timeout" in close.reason
    client.send(frame(CLOSE, close_body(1012)))
    client.ends(("end", "reset"))
    first = quiet.conns[0].frames[0]
    assert (first.opcode, first.masked, len(first.payload)) == (PING, True, 8)


def test_backend_that_answers_lives_and_the_client_hears_nothing(holdfast, echo):
    client = holdfast(echo, route={"websocket": {"ping_interval": 0, "backend_ping_interval": "1s", "pong_timeout": "2s"}}).connect()
    open_websocket(client)
    echo.wait(lambda b: len(getattr(b.conns[0], "frames", ())) >= 3, "three pings", timeout=20)
    client.send(frame(TEXT, "x"))
    assert read_frame(client).payload == b"x"
    assert {f.opcode for f in echo.conns[0].frames} == {PING, TEXT}


def test_ping_waits_for_the_end_of_a_frame(holdfast, make_raw):
    """The backend has sent half a frame: the ping comes behind its other half, within the run that brings it."""
    whole = frame(BINARY, b"x" * 1000, mask=False)
    go = asyncio.Event()

    async def script(conn):
        await conn.send(whole[:500])
        await go.wait()
        await conn.send(whole[500:] + frame(TEXT, b"y" * 500, fin=False, mask=False)[:300])
        await conn.read_to_end()
    backend = make_raw(websocket_play(script))
    client = holdfast(backend, route={"websocket": NEVER_DEAD}).connect()
    open_websocket(client)
    assert client.read_exactly(500) == whole[:500]
    assert client.is_silent(1.5), "a ping here would stand within the frame"
    backend.home.loop.call_soon_threadsafe(go.set)
    assert client.read_exactly(len(whole) - 500) == whole[500:]
    ping = read_frame(client)
    assert (ping.opcode, len(ping.payload)) == (PING, 8)
    assert client.read_exactly(300) == frame(TEXT, b"y" * 500, fin=False, mask=False)[:300]


def test_backend_that_stops_within_a_frame_is_dead(holdfast, make_raw):
    """No ping can pass it: the client would never be asked again."""
    half = frame(BINARY, b"x" * 1000, mask=False)[:500]

    async def script(conn):
        await conn.send(half)
        await conn.read_to_end()
    backend = make_raw(websocket_play(script))
    hf = holdfast(backend, route={"websocket": {"ping_interval": "1s", "pong_timeout": "1s"}})
    client = hf.connect()
    open_websocket(client)
    assert client.read_exactly(500) == half
    backend.wait(lambda b: b.conns[0].ended, "the end at the backend")
    client.ends(("end", "reset"))
    (line,) = hf.wait_access(lambda x: x["event"] == "close")
    assert (line["reason"], line["closed_by"], line["key"]) == ("backend_dead", "backend", "websocket.pong_timeout")


def test_long_frame_may_come_slowly(holdfast, make_raw):
    whole = frame(BINARY, b"x" * 1000, mask=False)

    async def script(conn):
        for at in range(0, len(whole), 100):
            await conn.send(whole[at:at + 100])
            await asyncio.sleep(0.4)
        await conn.read_to_end()
    client = holdfast(make_raw(websocket_play(script)), route={"websocket": {"ping_interval": "1s", "pong_timeout": "1s"}}).connect()
    open_websocket(client)
    assert client.read_exactly(len(whole)) == whole
    assert read_frame(client).opcode == PING


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_client_that_takes_nothing_within_a_frame_is_dead(holdfast, make_raw, certs, tls):
    """Frozen, or behind a closed window: the backend is not held back for ever."""
    async def script(conn):
        try:
            while True:
                await conn.send(frame(BINARY, b"x" * 1_000_000, mask=False))
        except ConnectionError:
            conn.is_cut = True
    backend = make_raw(websocket_play(script))
    hf = holdfast(backend, route={"websocket": {"ping_interval": "1s", "pong_timeout": "1s"}}, tls=tls)
    client = hf.connect(tls=certs.client_context(), receive_buffer=8192) if tls else hf.connect(receive_buffer=8192)
    open_websocket(client)
    (line,) = hf.wait_access(lambda x: x["event"] == "close", timeout=30)
    assert (line["reason"], line["closed_by"], line["key"]) == ("client_dead", "client", "websocket.pong_timeout")
    backend.wait(lambda b: getattr(b.conns[0], "is_cut", False), "the end at the backend", timeout=30)


def test_ping_may_stand_within_a_message(holdfast, make_raw):
    async def script(conn):
        await conn.send(frame(TEXT, b"one", fin=False, mask=False))
        assert (await read_frame_from(conn)).payload == b"on"
        await conn.send(frame(CONT, b"two", mask=False))
        await conn.read_to_end()
    client = holdfast(make_raw(websocket_play(script)), route={"websocket": PINGS}).connect()
    open_websocket(client)
    assert read_frame(client).payload == b"one"
    ping = read_frame(client)
    client.send(frame(PONG, ping.payload) + frame(TEXT, b"on"))
    assert read_frame(client).payload == b"two"


@pytest.mark.parametrize("size", [1000, 3 * MIB])
async def test_messages_survive_pings_in_their_midst(holdfast, make_websocket, size):
    """Slow messages in many pieces, in both directions, pings wherever they fall."""
    hf = holdfast(make_websocket(), route={"websocket": {**NEVER_DEAD, "backend_ping_interval": "1s", "max_message_size": 0}})
    messages = [os.urandom(size) for _ in range(3)]
    async with ws_connect(hf.url("/", "ws")) as client:
        for message in messages:
            async def pieces():
                for at in range(0, len(message), max(len(message) // 5, 1)):
                    yield message[at:at + max(len(message) // 5, 1)]
                    await asyncio.sleep(0.4)
            await client.send(pieces())
            assert await client.recv() == message


def test_clients_that_came_at_once_are_not_pinged_at_once(holdfast, quiet):
    hf = holdfast(quiet, workers=1, route={"websocket": {"ping_interval": "4s", "pong_timeout": "1h"}})
    clients = [hf.connect() for _ in range(40)]
    for client in clients:
        open_websocket(client)
    moments = []
    for client in clients:
        client.socket.setblocking(False)
    waiting = set(clients)

    def sweep():
        for client in list(waiting):
            try:
                if client.fill():
                    moments.append(time.monotonic())
                    waiting.discard(client)
            except (BlockingIOError, InterruptedError):
                pass
        return not waiting
    wait_until(sweep, "a ping for each", timeout=20)
    assert max(moments) - min(moments) > 0.4, "spread over a quarter of the interval"


def test_interval_of_another_configuration_counts_at_once(holdfast, quiet):
    hf = holdfast(quiet, route={"name": "r", "websocket": {"ping_interval": 0}})
    client = hf.connect()
    open_websocket(client)
    assert client.is_silent(1.5)
    hf.config["listeners"][0]["routes"][0]["websocket"] = PINGS
    hf.reload(hf.config)
    assert read_frame(client).opcode == PING


def test_other_peoples_clients_answer(holdfast, make_websocket, make_child, node_home, directory):
    """Python's websockets and Node's ws live on for several intervals without a word of their own."""
    hf = holdfast(make_websocket(), route={"websocket": {**PINGS, "backend_ping_interval": "1s"}})
    script = directory / "idle.js"
    script.write_text("""
const W = require("ws"), s = new W(process.argv[2]);
let pings = 0;
s.on("ping", () => { if (++pings == 3) { s.send("three"); } });
s.on("message", m => { s.close(4001, String(m)); });
s.on("close", (code, reason) => { console.log(code, String(reason)); process.exit(0); });
s.on("open", () => console.log("ready 1"));
""")
    node = make_child(["node", script, hf.url("/", "ws")], env={"NODE_PATH": str(node_home / "node_modules")})

    async def main():
        async with ws_connect(hf.url("/", "ws")) as client:
            await asyncio.sleep(4)
            await client.send("alive")
            assert await client.recv() == "alive"
    asyncio.run(main())
    wait_until(lambda: "4001 three" in node.log.read_text(), lambda: f"Node: {node.log.read_text()}", timeout=20)


# ---- closing ----

@pytest.mark.parametrize("answers", [True, False], ids=["answered", "not answered"])
def test_proxys_close_waits_for_the_answer_and_not_for_ever(holdfast, quiet, answers):
    client = holdfast(quiet, route={"websocket": {"max_lifetime": "500ms", "ping_interval": 0}}).connect()
    open_websocket(client)
    close = read_frame(client)
    assert (close.opcode, close.code) == (CLOSE, 1012)
    assert client.is_silent(0.5), "no end before the answer"
    if answers:
        client.send(frame(TEXT, "too late") + frame(CLOSE, close_body(1012)))
        assert stays(lambda: not quiet.conns[0].ended, 0.3), "the backend has not answered yet"
    client.ends(("end", "reset"))
    quiet.wait(lambda b: b.conns[0].ended, "the end at the backend")
    assert [f.opcode for f in quiet.conns[0].frames] == [CLOSE]


def test_lifetimes_differ(holdfast, quiet):
    hf = holdfast(quiet, workers=1, route={"websocket": {"max_lifetime": "3s", "max_lifetime_jitter": "100%", "ping_interval": 0}})
    clients = [hf.connect() for _ in range(20)]
    began = time.monotonic()
    for client in clients:
        open_websocket(client)
    ages = []
    waiting = set(clients)
    for client in clients:
        client.socket.setblocking(False)

    def sweep():
        for client in list(waiting):
            try:
                if client.fill():
                    ages.append(time.monotonic() - began)
                    waiting.discard(client)
            except (BlockingIOError, InterruptedError):
                pass
        return not waiting
    wait_until(sweep, "all to be closed", timeout=20)
    assert max(ages) - min(ages) > 0.5


# ---- limits ----

def texts(conn):
    return [f.payload for f in conn.frames if f.opcode in (TEXT, BINARY, CONT)]


def test_over_rate_delay_lets_everything_through_in_its_time(holdfast, quiet):
    hf = holdfast(quiet, route={"websocket": {"message_rate": "20/s", "message_burst": 10}})
    client = hf.connect()
    open_websocket(client)
    began = time.monotonic()
    for i in range(50):  # each in a run of its own
        client.send(frame(TEXT, b"%d" % i))
        if i % 10 == 9:
            quiet.wait(lambda b: len(texts(b.conns[0])) > i - 10, "some of them")
    quiet.wait(lambda b: len(texts(b.conns[0])) == 50, "all of them")
    assert texts(quiet.conns[0]) == [b"%d" % i for i in range(50)]
    assert time.monotonic() - began > 1.5, "40 above the burst at 20/s"


def test_byte_rate_delays_what_comes_next(holdfast, quiet):
    hf = holdfast(quiet, route={"websocket": {"byte_rate": "100KiB/s", "max_message_size": 0}})
    client = hf.connect()
    open_websocket(client)
    began = time.monotonic()
    sent = os.urandom(300 << 10)
    client.send(frame(BINARY, sent) + frame(TEXT, b"next") + frame(CLOSE, close_body(1000)))
    client.half_close()
    quiet.wait(lambda b: len(b.conns[0].frames) == 3, "all of it, the Close too", timeout=30)
    assert texts(quiet.conns[0]) == [sent, b"next"] and quiet.conns[0].frames[2].code == 1000
    assert time.monotonic() - began > 1.5, "200 KiB above the burst"


@pytest.mark.parametrize("policy, key", [
    ({"message_rate": "1/m", "message_burst": 3}, "websocket.message_rate"),
    ({"byte_rate": "100B/s"}, "websocket.byte_rate")], ids=["messages", "bytes"])
def test_over_rate_close_is_1008_and_names_the_key(holdfast, quiet, policy, key):
    hf = holdfast(quiet, route={"websocket": {"over_rate": "close", **policy}})
    client = hf.connect()
    open_websocket(client)
    client.send(b"".join(frame(TEXT, b"%02d" % i * 20) for i in range(10)))
    close = read_frame(client)
    assert (close.opcode, close.code) == (CLOSE, 1008) and key in close.reason
    client.send(frame(CLOSE, close_body(1008)))
    quiet.wait(lambda b: b.conns[0].frames and b.conns[0].frames[-1].opcode == CLOSE, "a Close at the backend")
    assert texts(quiet.conns[0]) == [b"%02d" % i * 20 for i in range(3)], "what was within the rate, and nothing else"
    assert quiet.conns[0].frames[-1].code == 1008


@pytest.mark.parametrize("size", [1, 50, 100000])
def test_over_rate_drop_drops_whole_messages(holdfast, quiet, size):
    """A fragmented one goes with all its fragments; control frames between them do not."""
    hf = holdfast(quiet, route={"websocket": {"over_rate": "drop", "message_rate": "1/m", "message_burst": 4}})
    client = hf.connect()
    open_websocket(client)
    client.send_in_pieces(
        frame(TEXT, b"one") + frame(TEXT, b"t", fin=False) + frame(PING, b"p1") + frame(CONT, b"wo") +
        frame(TEXT, b"three") + frame(TEXT, b"dro", fin=False) + frame(PING, b"p2") + frame(CONT, b"pp", fin=False) +
        frame(CONT, b"ed") + frame(BINARY, b"dropped too") + frame(PING, b"last"), size)
    quiet.wait(lambda b: b.conns[0].frames and b.conns[0].frames[-1].payload == b"last", "the last ping")
    assert [(f.opcode, f.payload) for f in quiet.conns[0].frames] == [
        (TEXT, b"one"), (TEXT, b"t"), (PING, b"p1"), (CONT, b"wo"), (PING, b"p2"), (PING, b"last")] or \
        [(f.opcode, f.payload) for f in quiet.conns[0].frames] == [
        (TEXT, b"one"), (TEXT, b"t"), (PING, b"p1"), (CONT, b"wo"), (TEXT, b"three"), (PING, b"p2"), (PING, b"last")]
    client.send(frame(CLOSE, close_body(1000)))
    client.close()
    (line,) = hf.wait_access(lambda x: x["event"] == "close")
    assert line["dropped_in"] in (2, 3)


@pytest.mark.parametrize("opcodes, good, bad", [("text", TEXT, BINARY), ("binary", BINARY, TEXT)])
def test_opcodes_that_are_not_taken_close_with_1003(holdfast, echo, opcodes, good, bad):
    client = holdfast(echo, route={"websocket": {"opcodes": opcodes}}).connect()
    open_websocket(client)
    client.send(frame(good, b"fine") + frame(PING, b"p"))
    assert read_frame(client).payload == b"fine" and read_frame(client).opcode == PONG
    client.send(frame(bad, b"x"))
    close = read_frame(client)
    assert close.code == 1003 and "websocket.opcodes" in close.reason
    assert all(f.opcode != bad for f in echo.conns[0].frames)


@pytest.mark.parametrize("offered, seen", [("a, b, c", "b, c"), ("a", None), ("c", "c")])
def test_only_allowed_subprotocols_are_offered(holdfast, echo, offered, seen):
    client = holdfast(echo, route={"websocket": {"subprotocols": ["b", "c"]}}).connect()
    open_websocket(client, protocol=offered)
    lines = [x.split(": ", 1)[1] for x in echo.conns[0].head.split("\r\n") if x.lower().startswith("sec-websocket-protocol")]
    assert lines == ([seen] if seen else [])


@pytest.mark.parametrize("policy", [{"slow_client": "drop_oldest"}, {"slow_client": "latest"},
                                    {"over_rate": "drop", "message_rate": "5/s"}])
def test_no_compression_where_messages_may_be_dropped(holdfast, echo, policy):
    client = holdfast(echo, route={"websocket": policy}).connect()
    open_websocket(client, extensions="permessage-deflate")
    assert "permessage-deflate" not in echo.conns[0].head


# ---- slow clients ----

COUNT = 3000
SMALL = 4096


def numbered(i, size=SMALL):
    return b"%08d" % i + b"." * (size - 8)


def flood(done):
    """Numbered messages, among them pings and one in fragments; then the end."""
    async def script(conn):
        for i in range(COUNT):
            await conn.send(frame(BINARY, numbered(i), mask=False))
            if i % 100 == 50:
                await conn.send(frame(PING, b"%d" % i, mask=False))
            if i % 500 == 77:
                await conn.send(frame(TEXT, b"f%d" % i, fin=False, mask=False) + frame(CONT, b"end", mask=False))
        done.append(True)
        await conn.send(frame(BINARY, b"the last", mask=False) + frame(CLOSE, close_body(1000), mask=False))
        await conn.read_to_end()
    return script


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("policy", ["drop_oldest", "latest"])
def test_dropping_for_a_slow_client(holdfast, make_raw, certs, tls, policy):
    done = []
    backend = make_raw(websocket_play(flood(done)))
    hf = holdfast(backend, workers=1, tls=tls,
                  route={"websocket": {"slow_client": policy, "send_buffer": "64KiB", "ping_interval": 0}})
    before = hf.memory_kib()
    client = hf.connect(receive_buffer=8192, tls=certs.client_context() if tls else None)
    open_websocket(client)
    wait_until(lambda: done, "the backend to have sent all, held back by nobody", timeout=60)
    assert hf.memory_kib() - before < 16 * 1024
    got = []
    while not got or got[-1].opcode != CLOSE:
        got.append(read_frame(client))
    assert got[-1].code == 1000 and all(not f.masked for f in got)
    numbers = [int(f.payload[:8]) for f in got if f.opcode == BINARY and f.payload != b"the last"]
    assert all(f.payload == numbered(int(f.payload[:8])) for f in got if f.opcode == BINARY and f.payload != b"the last")
    assert numbers == sorted(set(numbers)) and numbers[0] == 0 and len(numbers) < COUNT
    assert got[-2].payload == b"the last", "the newest is never dropped"
    assert [f.payload for f in got if f.opcode == PING] == [b"%d" % i for i in range(50, COUNT, 100)]
    assert [f.payload for f in got if f.opcode in (TEXT, CONT)] == [
        x for i in range(77, COUNT, 500) for x in (b"f%d" % i, b"end")]
    client.send(frame(CLOSE, close_body(1000)))
    client.close()
    (line,) = hf.wait_access(lambda x: x["event"] == "close")
    assert line["dropped_out"] == COUNT - len(numbers)


def test_slow_client_is_closed_with_1013(holdfast, make_raw):
    async def script(conn):
        conn.frames = []
        try:
            for i in range(20000):
                await conn.send(frame(BINARY, numbered(i), mask=False))
        except ConnectionError:
            pass
    backend = make_raw(websocket_play(script))
    hf = holdfast(backend, workers=1, route={"websocket": {"slow_client": "close", "slow_timeout": "1s", "send_buffer": "64KiB",
                                                           "ping_interval": 0}})
    client = hf.connect(receive_buffer=8192)
    open_websocket(client)
    (line,) = hf.wait_access(lambda x: x["event"] == "close", timeout=40)
    assert (line["reason"], line["close_code"]) == ("slow_client", 1013)
    got = frames_until_end(client)
    assert [f.opcode for f in got[:-1]] == [BINARY] * (len(got) - 1)
    assert got[-1].opcode == CLOSE and got[-1].code == 1013 and "websocket.slow_timeout" in got[-1].reason


def test_client_that_keeps_up_is_not_slow(holdfast, make_raw):
    for policy in ("close", "drop_oldest", "latest"):
        done = []
        hf = holdfast(make_raw(websocket_play(flood(done))), route={"websocket": {
            "slow_client": policy, "slow_timeout": "10s", "send_buffer": "16MiB", "ping_interval": 0}})
        client = hf.connect()
        open_websocket(client)
        got = []
        while not got or got[-1].opcode != CLOSE:
            got.append(read_frame(client))
        assert len([f for f in got if f.opcode == BINARY]) == COUNT + 1, policy


def test_one_long_message_to_a_stalled_client_is_bounded(holdfast, make_raw):
    """It has begun to leave, so it cannot be dropped: the backend waits."""
    whole = frame(BINARY, b"x" * (32 * MIB), mask=False)

    async def script(conn):
        for at in range(0, len(whole), 1 << 16):
            await conn.send(whole[at:at + (1 << 16)])
        await conn.send(frame(TEXT, b"end", mask=False))
        await conn.read_to_end()
    backend = make_raw(websocket_play(script))
    hf = holdfast(backend, workers=1, route={"websocket": {"slow_client": "drop_oldest", "max_message_size": 0,
                                                           "ping_interval": 0}})
    before = hf.memory_kib()
    client = hf.connect(receive_buffer=8192)
    open_websocket(client)
    wait_still(lambda: backend.conns[0].sent, "the backend to be held back")
    assert hf.memory_kib() - before < 16 * 1024
    assert client.read_exactly(len(whole)) == whole
    assert read_frame(client).payload == b"end"
