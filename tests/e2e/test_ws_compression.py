"""permessage-deflate (RFC 7692): passed, stripped, or spoken by the proxy for a backend that does not (terminate)."""
import asyncio
import json
import os
import random
import subprocess
import zlib

import pytest
import websockets

from kit.frames import (BINARY, CLOSE, CONT, PING, PONG, TEXT, close_body, echo_frames, frame, open_websocket, read_frame,
                        read_frame_from, websocket_play)
from kit.servers import node_args, ws_connect
from kit.wait import wait_until

MIB = 1 << 20
TAIL = b"\0\0\xff\xff"


def terminate(deflate=None, **policy):
    return {"websocket": {"compression": "terminate", "ping_interval": 0, **({"deflate": deflate} if deflate else {}), **policy}}


def packed(data, bits=15, compressor=None):
    compressor = compressor or zlib.compressobj(6, zlib.DEFLATED, -bits)
    out = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    assert out.endswith(TAIL)
    return out[:-4]


def unpacked(payload, decompressor=None):
    return (decompressor or zlib.decompressobj(-15)).decompress(payload + TAIL)


def text_like(size):
    words = b"the quick brown fox jumps over the lazy dog and runs away from it".split()
    once = b" ".join(random.choice(words) + b"%d" % random.randrange(100) for _ in range(min(size, 20000) // 4 + 1))
    return (once * (size // len(once) + 1))[:size]


@pytest.fixture
def echo(make_raw):
    """A backend that echoes frames one by one, and knows no extension."""
    return make_raw(websocket_play(echo_frames))


def ctx(certs, tls):
    return certs.client_context() if tls else None


def url_of(hf, tls):
    return f"wss://localhost:{hf.port}/" if tls else hf.url("/", "ws")


both = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])

# ---- other people's clients ----


@both
@pytest.mark.parametrize("takeover", [False, True], ids=["no takeover", "takeover"])
async def test_terminate_with_pythons_websockets(holdfast, make_websocket, certs, takeover, tls):
    """Every message comes back as it was; the backend hears of no extension, and no compressed frame."""
    server = make_websocket(compression=None)
    hf = holdfast(server, route=terminate({"context_takeover": takeover}, max_message_size=0), tls=tls)
    sizes = [0, 1, 10, 63, 64, 125, 126, 5000, 65535, 65536, 3 * MIB]
    async with ws_connect(url_of(hf, tls), compression="deflate", tls=ctx(certs, tls)) as socket:
        (extension,) = socket.extensions
        assert extension.name == "permessage-deflate"
        assert extension.remote_no_context_takeover == extension.local_no_context_takeover == (not takeover)
        for size in sizes:
            for data in (text_like(size).decode(), os.urandom(size)):
                await socket.send(data)
                assert await socket.recv() == data
        await socket.send([b"in ", b"", b"fragments " * 1000, b"of it"])
        assert await socket.recv() == b"in " + b"fragments " * 1000 + b"of it"
        await asyncio.wait_for(await socket.ping(), 10)
        await socket.close(4001, "enough")
    assert socket.close_code == 4001


@both
@pytest.mark.parametrize("takeover", [False, True], ids=["no takeover", "takeover"])
def test_terminate_with_nodes_ws(holdfast, make_node, node_home, certs, takeover, tls):
    hf = holdfast(make_node("echo_server.js", json.dumps({"deflate": False})),
                  route=terminate({"context_takeover": takeover}, max_message_size=0), tls=tls)
    options = {"url": url_of(hf, tls),
               "ca": str(certs.ca.cert) if tls else None, "deflate": True, "sizes": [0, 1, 100, 65536, MIB, 5]}
    done = subprocess.run(node_args("client.js", json.dumps(options)), capture_output=True, timeout=60,
                          env={**os.environ, "NODE_PATH": str(node_home / "node_modules")})
    got = json.loads(done.stdout)
    assert (got["echoed"], got["mismatches"], got["extensions"]) == (6, 0, "permessage-deflate"), got


async def test_many_at_once_share_what_they_use(holdfast, make_websocket):
    """Messages of many connections, cut into each other: no context is mixed up."""
    hf = holdfast(make_websocket(compression=None), workers=1, route=terminate(max_message_size=0))

    async def one(number):
        async with ws_connect(hf.url("/", "ws"), compression="deflate", max_size=None) as socket:
            for i in range(10):
                data = (b"%d-%d " % (number, i)) * (2000 + 700 * i)

                async def pieces():
                    for at in range(0, len(data), 3000):
                        yield data[at:at + 3000]
                await socket.send(pieces())
                assert await socket.recv() == data
    await asyncio.gather(*(one(n) for n in range(12)))


# ---- negotiation: RFC 7692 5.1, 7.1 ----

@pytest.mark.parametrize("offer, deflate, answer", [
    ("permessage-deflate", None, "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
    ("permessage-deflate", {"context_takeover": True}, "permessage-deflate"),
    ("permessage-deflate; server_no_context_takeover", {"context_takeover": True}, "permessage-deflate; server_no_context_takeover"),
    ("permessage-deflate; client_no_context_takeover", {"context_takeover": True}, "permessage-deflate; client_no_context_takeover"),
    ("permessage-deflate; client_max_window_bits", {"context_takeover": True}, "permessage-deflate"),
    ("permessage-deflate; client_max_window_bits", {"context_takeover": True, "window_bits": 10},
     "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10"),
    ("permessage-deflate", {"context_takeover": True, "window_bits": 10}, "permessage-deflate; server_max_window_bits=10"),
    ("permessage-deflate; client_max_window_bits=9", {"context_takeover": True}, "permessage-deflate; client_max_window_bits=9"),
    ("permessage-deflate; server_max_window_bits=12", {"context_takeover": True}, "permessage-deflate; server_max_window_bits=12"),
    ("permessage-deflate; server_max_window_bits=\"12\"", {"context_takeover": True}, "permessage-deflate; server_max_window_bits=12"),
    ("permessage-deflate; server_max_window_bits=12", {"context_takeover": True, "window_bits": 9},
     "permessage-deflate; server_max_window_bits=9"),
    # what cannot be had is passed over, and the next one is taken (5.1)
    ("permessage-deflate; server_max_window_bits=8, permessage-deflate", {"context_takeover": True}, "permessage-deflate"),
    ("permessage-deflate; server_max_window_bits=8", None, None),
    ("permessage-deflate; server_max_window_bits=16, permessage-deflate; client_max_window_bits", {"context_takeover": True},
     "permessage-deflate"),
    ("permessage-deflate; server_max_window_bits", None, None),
    ("permessage-deflate; server_no_context_takeover=1", None, None),
    ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None, None),
    ("permessage-deflate; unheard_of", None, None),
    ("x-webkit-deflate-frame, permessage-bzip2", None, None),
    (None, None, None),
])
def test_terminate_answers_offers(holdfast, echo, offer, deflate, answer):
    client = holdfast(echo, route=terminate(deflate)).connect()
    response = open_websocket(client, extensions=offer)
    assert response.get("sec-websocket-extensions") == answer
    assert "extensions" not in echo.conns[0].head.lower()
    # and what was agreed is what is spoken
    client.send(frame(TEXT, packed(b"x" * 500), rsv=4) if answer else frame(TEXT, b"x" * 500))
    got = read_frame(client)
    assert (got.rsv, unpacked(got.payload) if answer else got.payload) == (4 if answer else 0, b"x" * 500)


def test_cookie_of_affinity_stands_beside_the_answer(holdfast, echo):
    hf = holdfast(echo, route=terminate(), cluster={"affinity": {"cookie": {"name": "hf_route"}}})
    response = open_websocket(hf.connect(), extensions="permessage-deflate")
    assert response.get("set-cookie").startswith("hf_route=")
    assert response.get("sec-websocket-extensions").startswith("permessage-deflate")


def test_several_fields_are_one_list(holdfast, echo):
    client = holdfast(echo, route=terminate({"context_takeover": True})).connect()
    response = open_websocket(client, extensions="permessage-deflate; nonsense",
                              extra=[("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=11")])
    assert response.get("sec-websocket-extensions") == "permessage-deflate; client_max_window_bits=11"


# ---- frames: RFC 7692 6, 7.2 ----

def test_small_messages_and_control_frames_are_not_compressed(holdfast, echo):
    client = holdfast(echo, route=terminate({"min_size": "100B"})).connect()
    open_websocket(client, extensions="permessage-deflate")
    client.send(frame(TEXT, b"a" * 99) + frame(PING, b"p" * 125) + frame(TEXT, b"b" * 100) + frame(BINARY))
    got = [read_frame(client) for _ in range(4)]
    assert [(f.opcode, f.rsv, len(f.payload)) for f in got if f.opcode != TEXT or f.rsv == 0] == [
        (TEXT, 0, 99), (PONG, 0, 125), (BINARY, 0, 0)]
    assert got[2].rsv == 4 and unpacked(got[2].payload) == b"b" * 100


@pytest.mark.parametrize("size", [1, 7, 100000])
def test_compressed_messages_of_a_client_however_they_are_cut(holdfast, echo, size):
    """In fragments, with control frames between, uncompressed ones among them; only the first fragment has RSV1 (6.1)."""
    client = holdfast(echo, route=terminate({"context_takeover": True, "min_size": "16KiB"})).connect()
    open_websocket(client, extensions="permessage-deflate")
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    want, sent = [], b""
    for i in range(8):
        data = text_like(300 + i)
        whole = packed(data, compressor=compressor)
        at = i * 9 % len(whole)
        sent += frame(TEXT, whole[:at], fin=False, rsv=4) + frame(PING, b"%d" % i) + frame(CONT, whole[at:]) + frame(BINARY, data)
        want += [data, data]
    client.send_in_pieces(sent, size)
    got, message, decompressor = [], b"", zlib.decompressobj(-15)
    while len(got) < len(want):
        f = read_frame(client)
        if f.opcode == PONG:
            continue
        if f.opcode != CONT:
            is_packed = f.rsv == 4
        message += f.payload
        if f.fin:
            got.append(unpacked(message, decompressor) if is_packed else message)
            message = b""
    assert got == want


def test_fragments_of_a_backend_arrive_as_they_are_sent(holdfast, make_raw):
    """Each one can be read when it comes, the end is cut off of the last alone (7.2.1)."""
    go = asyncio.Event()

    async def script(conn):
        await conn.send(frame(TEXT, b"first " * 30, fin=False, mask=False))
        await go.wait()
        await conn.send(frame(PING, b"between", mask=False) + frame(CONT, b"second " * 30, fin=False, mask=False) + frame(CONT, mask=False))
        await conn.read_to_end()
    backend = make_raw(websocket_play(script))
    client = holdfast(backend, route=terminate()).connect()
    open_websocket(client, extensions="permessage-deflate")
    decompressor = zlib.decompressobj(-15)
    f = read_frame(client)
    assert (f.opcode, f.fin, f.rsv) == (TEXT, False, 4)
    assert decompressor.decompress(f.payload) == b"first " * 30
    backend.home.loop.call_soon_threadsafe(go.set)
    rest, opcodes = b"", []
    while not f.fin or f.opcode == PING:
        f = read_frame(client)
        opcodes.append((f.opcode, f.rsv))
        if f.opcode == CONT:
            rest += f.payload
    assert decompressor.decompress(rest + TAIL) == b"second " * 30
    assert set(opcodes) == {(PING, 0), (CONT, 0)}


@pytest.mark.parametrize("name, sent", [
    ("no deflate data", frame(TEXT, b"hello world", rsv=4)),
    ("a block of type 3", frame(TEXT, b"\x06\x00", rsv=4)),
    ("an end within a block", frame(TEXT, packed(b"hello" * 100)[:-3], rsv=4)),
    ("a reference before the beginning", frame(TEXT, packed(b"a" * 300, compressor=None)[2:], rsv=4)),
], ids=lambda x: x.replace(" ", "_") if isinstance(x, str) else "")
def test_broken_data_is_1007(holdfast, echo, name, sent):
    hf = holdfast(echo, route=terminate())
    client = hf.connect()
    open_websocket(client, extensions="permessage-deflate")
    client.send(frame(TEXT, b"before"))
    assert read_frame(client).payload == b"before"
    client.send(sent)
    close = read_frame(client)
    assert (close.opcode, close.code) == (CLOSE, 1007), close
    echo.wait(lambda b: b.conns[0].ended, "the end at the backend")
    assert echo.conns[0].frames[-1].code == 1007
    (line,) = hf.wait_access(lambda x: x["event"] == "close")
    assert (line["reason"], line["closed_by"], line["close_code"]) == ("websocket_protocol", "client", 1007)


@pytest.mark.parametrize("name, sent", [
    ("RSV1 in a continuation", frame(TEXT, b"a", fin=False) + frame(CONT, packed(b"b"), rsv=4)),
    ("RSV1 in a ping", frame(PING, packed(b"a"), rsv=4)),
    ("RSV1 in a close", frame(CLOSE, close_body(1000), rsv=4)),
    ("RSV2", frame(TEXT, packed(b"a"), rsv=6)),
    ("RSV3", frame(TEXT, b"a", rsv=1)),
], ids=lambda x: x.replace(" ", "_") if isinstance(x, str) else "")
@pytest.mark.parametrize("compression", ["terminate", "pass"])
def test_reserved_bits_where_they_mean_nothing_are_1002(holdfast, make_raw, compression, name, sent):
    answer = [("Sec-WebSocket-Extensions", "permessage-deflate")] if compression == "pass" else []
    backend = make_raw(websocket_play(echo_frames, extra=answer))
    client = holdfast(backend, route={"websocket": {"compression": compression}}).connect()
    open_websocket(client, extensions="permessage-deflate")
    client.send(sent)
    close = read_frame(client)
    while close.opcode != CLOSE:
        close = read_frame(client)
    assert close.code == 1002


@pytest.mark.parametrize("rsv", [1, 2, 4])
def test_a_backend_of_terminate_may_not_use_reserved_bits(holdfast, make_raw, rsv):
    async def script(conn):
        await conn.send(frame(TEXT, packed(b"x"), rsv=rsv, mask=False))
        await conn.read_to_end()
    client = holdfast(make_raw(websocket_play(script)), route=terminate()).connect()
    open_websocket(client, extensions="permessage-deflate")
    assert read_frame(client).code == 1002


# ---- bombs ----

@both
@pytest.mark.parametrize("policy, size, key", [
    ({"deflate": {"max_ratio": 0}}, 64 * MIB, "websocket.max_message_size"),
    ({"max_message_size": "100KiB", "deflate": {"max_ratio": 0}}, 101 << 10, "websocket.max_message_size"),
    ({"max_message_size": 0}, 64 * MIB, "websocket.deflate.max_ratio"),
], ids=["size", "just above", "ratio"])
def test_bombs_are_1009_and_cost_nothing(holdfast, make_raw, certs, policy, size, key, tls):
    got = []

    async def script(conn):
        while True:
            got.append(await read_frame_from(conn))
    hf = holdfast(make_raw(websocket_play(script)), route=terminate(policy.get("deflate"), **{k: v for k, v in policy.items() if k != "deflate"}),
                  tls=tls)
    client = hf.connect(tls=ctx(certs, tls)) if tls else hf.connect()
    open_websocket(client, extensions="permessage-deflate")
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    sent = b"".join(compressor.compress(b"\0" * (1 << 16)) for _ in range(size >> 16)) + compressor.compress(b"\0" * (size & 0xffff))
    sent += compressor.flush(zlib.Z_SYNC_FLUSH)
    before = hf.memory_kib("VmHWM")
    client.send(frame(BINARY, sent[:-4], rsv=4))
    close = read_frame(client)
    assert (close.opcode, close.code) == (CLOSE, 1009) and key in close.reason
    wait_until(lambda: got and got[-1].opcode == CLOSE, "a Close at the backend")
    assert got[-1].code == 1009
    assert sum(len(f.payload) for f in got[:-1]) <= max(MIB, 13 * MIB if "ratio" in key else 0)
    assert hf.memory_kib("VmHWM") - before < 40 * 1024


def test_message_within_the_bounds_passes_whatever_its_ratio(holdfast, make_websocket):
    async def main():
        hf = holdfast(make_websocket(compression=None, max_size=None), route=terminate({"max_ratio": 0}, max_message_size="8MiB"))
        async with ws_connect(hf.url("/", "ws"), compression="deflate", max_size=None) as socket:
            await socket.send(b"\0" * (8 * MIB))
            assert await socket.recv() == b"\0" * (8 * MIB)
    asyncio.run(main())


def test_what_is_inflated_waits_for_a_backend_that_does_not_read(holdfast, make_raw):
    """Many messages that inflate to much: memory is bounded, nothing is lost, the end comes behind it all."""
    go, total = asyncio.Event(), []

    async def script(conn):
        await go.wait()
        size = 0
        while True:
            f = await read_frame_from(conn)
            if f.opcode == CLOSE:
                break
            size += len(f.payload)
        total.append(size)
        await conn.send(frame(CLOSE, close_body(1000), mask=False))
        await conn.read_to_end()
    backend = make_raw(websocket_play(script))
    hf = holdfast(backend, workers=1, route=terminate({"max_ratio": 0}, max_message_size=0))
    client = hf.connect()
    open_websocket(client, extensions="permessage-deflate")
    before = hf.memory_kib("VmHWM")
    message = frame(BINARY, packed(b"\0" * MIB), rsv=4)
    client.send(message * 64 + frame(CLOSE, close_body(1000)))
    assert client.is_silent(1)
    assert hf.memory_kib("VmHWM") - before < 40 * 1024, "64 MiB do not stand in memory"
    backend.home.loop.call_soon_threadsafe(go.set)
    assert read_frame(client).code == 1000
    assert total == [64 * MIB]


# ---- with what else the proxy does ----

def test_rates_drop_messages_of_clients_without_takeover(holdfast, echo):
    client = holdfast(echo, route=terminate({"context_takeover": True, "min_size": "16KiB"}, over_rate="drop", message_rate="1/m",
                                            message_burst=2)).connect()
    response = open_websocket(client, extensions="permessage-deflate")
    assert "client_no_context_takeover" in response.get("sec-websocket-extensions")
    client.send(b"".join(frame(TEXT, packed(b"message %d" % i), rsv=4) for i in range(5)) + frame(PING, b"end"))
    assert [read_frame(client).payload for _ in range(3)] == [b"message 0", b"message 1", b"end"]


@both
@pytest.mark.parametrize("slow", ["drop_oldest", "latest"])
def test_slow_clients_lose_whole_messages_and_read_all_others(holdfast, make_raw, certs, slow, tls):
    """Compressed, yet each can be read without those that were dropped."""
    count, done = 4000, []

    async def script(conn):
        for i in range(count):
            await conn.send(frame(TEXT, b"%06d " % i + os.urandom(1500).hex().encode(), mask=False))
        done.append(True)
        await conn.read_to_end()
    hf = holdfast(make_raw(websocket_play(script)), workers=1, tls=tls,
                  route=terminate({"context_takeover": True}, slow_client=slow, send_buffer="64KiB"))
    client = hf.connect(receive_buffer=8192, tls=ctx(certs, tls))
    response = open_websocket(client, extensions="permessage-deflate")
    assert "server_no_context_takeover" in response.get("sec-websocket-extensions")
    wait_until(lambda: done, "the backend to have sent all, held back by nobody", timeout=60)
    numbers = []
    while not numbers or numbers[-1] != count - 1:
        f = read_frame(client)
        assert (f.rsv, f.fin) == (4, True)
        numbers.append(int(unpacked(f.payload)[:6]))
    assert numbers == sorted(set(numbers)) and len(numbers) < count


def test_pings_of_the_proxy_stand_between_compressed_frames(holdfast, echo):
    client = holdfast(echo, route=terminate({"min_size": 0}, ping_interval="1s", pong_timeout="1h")).connect()
    open_websocket(client, extensions="permessage-deflate")
    whole = packed(text_like(3000))
    client.send(frame(TEXT, whole[:50], fin=False, rsv=4))
    assert read_frame(client).opcode in (TEXT, PING)
    f = read_frame(client)
    while f.opcode != PING:
        f = read_frame(client)
    assert f.rsv == 0
    client.send(frame(PONG, f.payload) + frame(CONT, whole[50:]))
    while not (f.fin and f.opcode == CONT):
        f = read_frame(client)
    assert all(x.opcode != PONG for x in echo.conns[0].frames), "its pong stays with the proxy"


def test_open_connections_keep_what_they_agreed_over_a_reload(holdfast, echo):
    hf = holdfast(echo, route={"name": "r", **terminate()})
    client = hf.connect()
    open_websocket(client, extensions="permessage-deflate")
    routes = hf.config["listeners"][0]["routes"]
    routes[0]["websocket"] = {"compression": "strip"}
    routes.insert(0, {"name": "generation", "path": "= /generation", "respond": {"body": "2"}})
    hf.reload(hf.config)
    wait_until(lambda: all(hf.request("/generation").text == "2" for _ in range(16)), "the other configuration in force")
    client.send(frame(TEXT, packed(b"z" * 1000), rsv=4))
    assert unpacked(read_frame(client).payload) == b"z" * 1000
    fresh = hf.connect()
    assert open_websocket(fresh, extensions="permessage-deflate").get("sec-websocket-extensions") is None


async def test_drain_closes_compressed_connections_between_frames(holdfast, make_websocket):
    hf = holdfast(make_websocket(compression=None), route=terminate())
    async with ws_connect(hf.url("/", "ws"), compression="deflate") as socket:
        await socket.send("x" * 5000)
        assert await socket.recv() == "x" * 5000
        hf.send_signal(15)
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1001
