"""The cases of the Autobahn suite (1 to 13), and those of RFC 6455 5 and 7 and RFC 7692 7 that it leaves out, run against servers
and clients that nobody here wrote, with and without the proxy between: the verdict is the peer's own, or a stricter one where
the RFC has the connection fail."""
import asyncio
import hashlib
import json
import os
import subprocess
import zlib

import pytest
import websockets

from kit.frames import (BINARY, CLOSE, CONT, PING, PONG, TEXT, close_body, frame, open_websocket, read_frame,
                        read_frame_from, websocket_play)
from kit.raw import RawClient, Truncated
from kit.servers import ws_connect

SENTINEL = b"are you there?"
TAIL = b"\0\0\xff\xff"
FAILED = (1002, 1007, 1009)  # what a peer may say that breaks off


class Case:
    """Bytes for the peer, in pieces of `chop`; `is_wrong`: the RFC has the connection fail."""

    def __init__(self, name, data, chop=1 << 20, is_wrong=False):
        self.name, self.data, self.chop, self.is_wrong = name, data, chop, is_wrong


def cases_of(f):
    """All cases, with frames made by f(opcode, payload, **how): masked or not, as the sender has to."""
    out = []

    def add(name, *frames, **how):
        out.append(Case(name, b"".join(frames), **how))

    def wrong(name, *frames, **how):
        add(name, *frames, is_wrong=True, **how)

    # 1: framing
    for part, opcode in (("1.1", TEXT), ("1.2", BINARY)):
        for i, size in enumerate((0, 125, 126, 127, 128, 65535, 65536)):
            add(f"{part}.{i + 1}", f(opcode, b"*" * size))
        add(f"{part}.8", f(opcode, b"*" * 65536), chop=997)
    wrong("5.2 the mask is not what the sender has to use", f(TEXT, b"x", mask=None))
    wrong("5.2 length of 2 bytes in 16 bits", f(TEXT, b"xx", width=2))
    wrong("5.2 length of 125 in 64 bits", f(TEXT, b"x" * 125, width=8))
    wrong("5.2 length of 126 in 64 bits", f(BINARY, b"x" * 126, width=8))
    wrong("5.2 length of 2^63", f(BINARY, b"x" * 20, width=8, length=1 << 63))
    # 2: pings and pongs
    add("2.1", f(PING))
    add("2.2", f(PING, b"Hello"))
    add("2.3", f(PING, bytes([0, 255, 254, 253, 252, 251, 0, 255])))
    add("2.4", f(PING, b"\xfe" * 125))
    wrong("2.5", f(PING, b"\xfe" * 126))
    add("2.6", f(PING, b"\xfe" * 125), chop=1)
    add("2.7", f(PONG))
    add("2.8", f(PONG, b"unsolicited"))
    add("2.9", f(PONG, b"unsolicited"), f(PING, b"ping"))
    add("2.10", *(f(PING, b"%d" % i) for i in range(10)))
    add("2.11", *(f(PING, b"%d" % i) for i in range(10)), chop=1)
    # 3: reserved bits
    wrong("3.1", f(TEXT, b"Hello", rsv=1))
    wrong("3.2", f(TEXT, b"Hello"), f(TEXT, b"Hello", rsv=2), f(PING))
    wrong("3.3", f(TEXT, b"Hello"), f(TEXT, b"Hello", rsv=3), f(PING), chop=5)
    wrong("3.4", f(TEXT, b"Hello"), f(TEXT, b"Hello", rsv=4), f(PING), chop=1)
    wrong("3.5", f(BINARY, b"\0\xff", rsv=5))
    wrong("3.6", f(PING, b"Hello", rsv=6))
    wrong("3.7", f(CLOSE, close_body(1000), rsv=7))
    wrong("RSV1 in a continuation", f(TEXT, b"a", fin=False), f(CONT, b"b", rsv=4))
    # 4: opcodes
    for i, opcode in enumerate((3, 4, 5, 6, 7)):
        wrong(f"4.1.{i + 1}", f(TEXT, b"Hello"), f(opcode, b"" if i in (0, 2) else b"payload"), f(PING), chop=1 if i > 2 else 1 << 20)
    for i, opcode in enumerate((11, 12, 13, 14, 15)):
        wrong(f"4.2.{i + 1}", f(TEXT, b"Hello"), f(opcode, b"" if i in (0, 2) else b"payload"), f(PING), chop=1 if i > 2 else 1 << 20)
    # 5: fragmentation
    wrong("5.1", f(PING, b"frag", fin=False), f(CONT, b"ment"))
    wrong("5.2", f(PONG, b"frag", fin=False), f(CONT, b"ment"))
    for i, chop in enumerate((1 << 20, 12, 1)):
        add(f"5.{3 + i}", f(TEXT, b"fragment1", fin=False), f(CONT, b"fragment2"), chop=chop)
        add(f"5.{6 + i}", f(TEXT, b"fragment1", fin=False), f(PING, b"between"), f(CONT, b"fragment2"), chop=chop)
        wrong(f"5.{9 + i}", f(CONT, b"nothing to continue"), f(TEXT, b"Hello"), chop=chop)
        wrong(f"5.{12 + i}", f(CONT, b"nothing to continue", fin=False), f(TEXT, b"Hello"), chop=chop)
        wrong(f"5.{16 + i}", *(f(TEXT, b"fragment1", fin=False), f(CONT, b"fragment2")), f(CONT, b"nothing"), chop=chop)
    wrong("5.15", f(TEXT, b"fragment1", fin=False), f(CONT, b"fragment2"), f(CONT, b"three", fin=False), f(TEXT, b"four"))
    wrong("5.18 a new message within one", f(TEXT, b"fragment1", fin=False), f(TEXT, b"fragment2"))
    for i, chop in enumerate((1 << 20, 1)):
        add(f"5.{19 + i}", f(TEXT, b"fragment1", fin=False), f(CONT, b"fragment2", fin=False), f(PING, b"1"),
            f(CONT, b"fragment3", fin=False), f(CONT, b"fragment4", fin=False), f(PING, b"2"), f(CONT, b"fragment5"), chop=chop)
    add("empty fragments", f(TEXT, fin=False), f(CONT, fin=False), f(CONT))
    add("6.1.3 an empty fragment among others", f(TEXT, fin=False), f(CONT, b"middle", fin=False), f(CONT))
    # 6: UTF-8
    text = "Hello-µ@ßöäüàá-UTF-8!!".encode()
    add("6.2.1", f(TEXT, text))
    add("6.2.2", f(TEXT, text[:7], fin=False), f(CONT, text[7:]))
    add("6.2.3", *(f(TEXT if i == 0 else CONT, text[i:i + 1], fin=i == len(text) - 1) for i in range(len(text))))
    kosme = "κόσμε".encode()
    add("6.2.4", f(TEXT, kosme[:1], fin=False), f(CONT, kosme[1:2], fin=False), f(PING, b"p"), f(CONT, kosme[2:]))
    wrong("6.3.1", f(TEXT, kosme + b"\xed\xa0\x80edited"))
    wrong("6.3.2", *(f(TEXT if i == 0 else CONT, bytes([b]), fin=i == 13) for i, b in enumerate(kosme + b"\xed\xa0\x80")))
    wrong("6.4.1", f(TEXT, kosme, fin=False), f(CONT, b"\xf4\x90\x80\x80", fin=False), f(CONT, b"edited"))
    wrong("6.4.2", f(TEXT, kosme + b"\xf4", fin=False), f(CONT, b"\x90", fin=False), f(CONT, b"edited"))
    wrong("6.4.3", f(TEXT, kosme + b"\xf4\x90\x80\x80edited"), chop=3)
    for i, good in enumerate(("\0", "\x7f", "\x80", "\u07ff", "\u0800", "\uffff", "\U00010000", "\U0010ffff", "\ud7ff", "\ue000", "\ufffd")):
        add(f"6.5-7,9,11,22.{i}", f(TEXT, good.encode()))
    for i, bad in enumerate((b"\xce", b"\xce\xba\xe1", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xf7\xbf\xbf\xbf",
                             b"\x80", b"\xbf", b"\xc0\x20\xc1\x20", b"\xe0\x20", b"\xf0\x20", b"\xfe", b"\xff", b"\xc0\xaf",
                             b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xc0\x80",
                             b"\xed\xa0\x80", b"\xed\xaf\xbf", b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80")):
        wrong(f"6.6,8,10,12-21.{i}", f(TEXT, bad))
    # 7: closing
    add("7.1.1", f(TEXT, b"Hello"), f(CLOSE, close_body(1000)))
    add("7.1.2", f(CLOSE, close_body(1000)), f(CLOSE, close_body(1000)))
    add("7.1.3", f(CLOSE, close_body(1000)), f(PING))
    add("7.1.4", f(CLOSE, close_body(1000)), f(TEXT, b"after"))
    add("7.1.5", f(TEXT, b"fragment1", fin=False), f(CLOSE, close_body(1000)), f(CONT, b"fragment2"))
    add("7.1.6", f(TEXT, b"*" * 262144), f(TEXT, b"Hello"), f(CLOSE, close_body(1000)), f(PING))
    add("7.3.1", f(CLOSE))
    wrong("7.3.2", f(CLOSE, b"\x03"))
    add("7.3.3", f(CLOSE, close_body(1000)))
    add("7.3.4", f(CLOSE, close_body(1000, "Hello World!")))
    add("7.3.5", f(CLOSE, close_body(1000, "*" * 123)))
    wrong("7.3.6", f(CLOSE, close_body(1000, "*" * 124)))
    wrong("a Close in two fragments", f(CLOSE, close_body(1000), fin=False), f(CONT, b""))
    wrong("7.5.1", f(CLOSE, close_body(1000) + kosme + b"\xed\xa0\x80edited"))
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
        add(f"7.7.{code}", f(CLOSE, close_body(code)), chop=3)
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        wrong(f"7.9,13.{code}", f(CLOSE, close_body(code)), chop=1)
    # 9: limits and pace; 10: what a library cuts
    for part, opcode in (("9.1", TEXT), ("9.2", BINARY)):
        for i, size in enumerate((1 << 16, 1 << 18, 1 << 20, 1 << 22)):
            add(f"{part}.{i + 1}", f(opcode, b"*" * size))
    for part, opcode, size in (("9.3", TEXT, 64), ("9.4", BINARY, 4096)):
        whole = b"0123456789abcdef" * (1 << 12)
        pieces = [whole[i:i + size] for i in range(0, len(whole), size)]
        add(part, *(f(CONT if i else opcode, p, fin=i == len(pieces) - 1) for i, p in enumerate(pieces)))
    for part, opcode, chop in (("9.5", TEXT, 64), ("9.6", BINARY, 2048)):
        add(part, f(opcode, b"*" * (1 << 18)), chop=chop)
    for part, opcode in (("9.7", TEXT), ("9.8", BINARY)):
        for size in (0, 16, 64, 256, 1024, 4096):
            add(f"{part}.{size}", *(f(opcode, b"*" * size) for _ in range(200)))
    add("10.1.1", *(f(CONT if i else TEXT, b"*" * min(1300, 65536 - i), fin=i + 1300 >= 65536) for i in range(0, 65536, 1300)))
    return out


def masked(opcode, payload=b"", mask=True, **how):
    return frame(opcode, payload, mask=bool(mask), **how)


def unmasked(opcode, payload=b"", mask=True, **how):
    return frame(opcode, payload, mask=not mask, **how)


def section(cases, name):
    """The cases whose first digit is of this section; those with a word for a name are of the first."""
    digit = {"framing": lambda n: n[0] in "15R" or not n[0].isdigit(), "pings and opcodes": lambda n: n[0] in "234",
             "utf8": lambda n: n[0] == "6", "closing": lambda n: n[0] == "7", "limits": lambda n: n[0] == "9"}[name]
    return [c for c in cases if digit(c.name)]


NAMES = ["framing", "pings and opcodes", "utf8", "closing", "limits"]


class Verdict:
    """What the sender of a case saw: whole messages, pongs, and how it ended."""

    def __init__(self):
        self.messages, self.pongs, self.code, self.end = [], [], None, None

    def __eq__(self, other):
        return (self.messages, self.pongs, self.code) == (other.messages, other.pongs, other.code)

    def __repr__(self):
        return f"<{len(self.messages)} messages, {len(self.pongs)} pongs, close {self.code}>"


def judge(client, case):
    """Sends the case and a ping behind it; where that is answered, a Close, and reads to the end."""
    v, message, said = Verdict(), hashlib.sha256(), False
    try:
        if case.chop < len(case.data):
            client.send_in_pieces(case.data, case.chop)
        else:
            client.send(case.data)
        client.send(frame(PING, SENTINEL))
    except OSError:
        pass  # it has gone already: what it said can still be read
    try:
        while True:
            f = read_frame(client)
            assert not f.masked and f.rsv == 0
            if f.opcode == PONG and f.payload == SENTINEL:
                if not said:
                    client.send(frame(CLOSE, close_body(1000)))
                said = True
            elif f.opcode == PONG:
                v.pongs.append(f.payload)
            elif f.opcode == CLOSE:
                v.code = f.code
                if not said:
                    client.send(frame(CLOSE, f.payload))
                said = True
            else:
                message.update((b"text" if f.opcode == TEXT else b"") + f.payload)
                if f.fin:
                    v.messages.append(message.hexdigest())
                    message = hashlib.sha256()
    except (Truncated, OSError) as e:
        v.end = type(e).__name__
    return v


def is_as_strict(case, own, through):
    """The same; or where the connection has to fail, a failure that came no later."""
    def agree(a, b):  # how much of what came before is answered before the failure is a race within the peer
        return a[:len(b)] == b[:len(a)]
    return own == through or (case.is_wrong and through.code in FAILED and agree(own.messages, through.messages) and
                              agree(own.pongs, through.pongs))


@pytest.fixture(scope="module")
def servers(request, home, module_directory, node_home, shared_factory, shared_holdfast, certs):
    """Both echo servers, and a proxy before each with a plain and a TLS listener."""
    from kit import servers as kit_servers
    made = {}
    python = kit_servers.WebSocketServer(home, compression=None)
    shared_factory.keep(python, python.stop)
    node = kit_servers.Child(kit_servers.node_args("echo_server.js", "{}"), module_directory / "node.log",
                             env={"NODE_PATH": str(node_home / "node_modules")})
    shared_factory.keep(node, node.stop)
    for name, server in (("python", python), ("node", node)):
        route = {"websocket": {"max_message_size": 0, "ping_interval": "1h", "compression": "strip"}}
        made[name, "plain"] = (server, shared_holdfast(server, route=route))
        made[name, "tls"] = (server, shared_holdfast(server, route=route, tls=True))
    return made


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", ["plain", "tls"])
@pytest.mark.parametrize("server", ["python", "node"])
def test_server_behind_the_proxy_has_its_own_verdicts(servers, certs, server, way, name):
    direct, hf = servers[server, way]
    host, port = direct.address.rsplit(":", 1)
    context = certs.client_context() if way == "tls" else None
    differences, cases = [], section(cases_of(masked), name)
    assert len(cases) > 8
    for case in cases:
        verdicts = []
        for address, tls in (((host, int(port)), None), (hf.address, context)):
            client = RawClient(address, tls=tls) if tls else RawClient(address)
            try:
                open_websocket(client, "/")
                verdicts.append(judge(client, case))
            finally:
                client.close()
        if not is_as_strict(case, *verdicts):
            differences.append(f"{case.name}: {verdicts[0]} without, {verdicts[1]} through the proxy")
    assert not differences, "\n".join(differences)


# ---- the other direction: servers that break the rules, and clients ----

def script_of(cases):
    """A backend that sends the case which the path names, then waits for the end."""
    async def script(conn):
        case = cases[int(conn.head.split()[1].rsplit("/", 1)[1])]
        try:
            for at in range(0, len(case.data), max(case.chop, 64)):
                await conn.send(case.data[at:at + max(case.chop, 64)])
            await conn.send(frame(CLOSE, close_body(1000), mask=False))
            while (await read_frame_from(conn)).opcode != CLOSE:
                pass
        except ConnectionError:
            pass
    return websocket_play(script)


async def python_client(base, count, tls):
    """What Python's client saw of each: digests of messages, the code that it had, and the one it gave."""
    seen = []
    for i in range(count):
        messages = []
        async with ws_connect(f"{base}/{i}", tls=tls, close_timeout=1) as socket:
            try:
                while True:
                    data = await asyncio.wait_for(socket.recv(), 10)
                    messages.append(hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest())
            except (websockets.ConnectionClosed, asyncio.TimeoutError):  # 2^63 bytes are waited for
                pass
        seen.append((messages, socket.close_code))
    return seen


NODE_CLIENT = """
const W = require("ws"), crypto = require("crypto"), fs = require("fs"), o = JSON.parse(process.argv[2]), seen = [];
function next(i) {
	if (i === o.count) { process.stdout.write(JSON.stringify(seen), () => process.exit(0)); return; }
	const s = new W(o.base + "/" + i, [], { ca: o.ca && fs.readFileSync(o.ca), perMessageDeflate: false, maxPayload: 256 << 20 });
	const messages = [];
	s.on("message", (d) => messages.push(crypto.createHash("sha256").update(d).digest("hex")));
	s.on("error", () => {});
	s.on("close", (code) => { seen.push([messages, code]); next(i + 1); });
}
next(0);
"""


def node_client(base, count, ca, node_home, directory):
    script = directory / "cases.js"
    script.write_text(NODE_CLIENT)
    done = subprocess.run(["node", script, json.dumps({"base": base, "count": count, "ca": ca})], capture_output=True, timeout=80,
                          env={**os.environ, "NODE_PATH": str(node_home / "node_modules")})
    return [(m, c) for m, c in json.loads(done.stdout)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", ["plain", "tls"])
@pytest.mark.parametrize("client", ["python", "node"])
def test_client_behind_the_proxy_has_its_own_verdicts(holdfast, make_raw, certs, node_home, directory, client, way, name):
    cases = section(cases_of(unmasked), name)
    backend = make_raw(script_of(cases))
    hf = holdfast(backend, tls=way == "tls", route={"websocket": {"max_message_size": 0, "ping_interval": "1h", "compression": "strip"}})
    direct, through = f"ws://{backend.address}", f"wss://localhost:{hf.port}" if way == "tls" else f"ws://127.0.0.1:{hf.port}"
    if client == "python":
        own = asyncio.run(python_client(direct, len(cases), None))
        seen = asyncio.run(python_client(through, len(cases), certs.client_context() if way == "tls" else None))
    else:
        own = node_client(direct, len(cases), None, node_home, directory)
        seen = node_client(through, len(cases), str(certs.ca.cert) if way == "tls" else None, node_home, directory)
    differences = []
    for case, a, b in zip(cases, own, seen):
        if a[0] == b[0] and a[1] == b[1]:
            continue
        # a client calls its own failure 1002, 1007 or 1006; through the proxy it may hear of one
        if not (case.is_wrong and b[0][:len(a[0])] == a[0][:len(b[0])] and b[1] in (*FAILED, 1006)):
            differences.append(f"{case.name}: {len(a[0])} messages, {a[1]} without; {len(b[0])}, {b[1]} through the proxy")
    assert len(own) == len(seen) == len(cases) and not differences, "\n".join(differences)


# ---- 12 and 13: permessage-deflate ----

OFFERS = ["permessage-deflate",  # 12, 13.1
          "permessage-deflate; client_max_window_bits",
          "permessage-deflate; server_no_context_takeover",  # 13.2
          "permessage-deflate; server_max_window_bits=9",  # 13.3
          "permessage-deflate; server_max_window_bits=15",  # 13.4
          "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",  # 13.5
          "permessage-deflate; client_no_context_takeover; server_no_context_takeover; server_max_window_bits=15",  # 13.6
          "permessage-deflate; server_no_context_takeover; server_max_window_bits=9, permessage-deflate"]  # 13.7
SIZES = [(16, 0), (64, 0), (1024, 0), (4096, 0), (32768, 0), (131072, 0), (8192, 256), (131072, 1024), (131072, 32768), (0, 0)]


def deflate_run(client, offer):
    """Messages of the sizes (in frames of so many bytes), compressed as agreed; each must come back."""
    response = open_websocket(client, "/", extensions=offer)
    answer = response.get("sec-websocket-extensions")
    assert answer is not None and answer.startswith("permessage-deflate")
    bits = int(answer.split("client_max_window_bits=")[1].split(";")[0]) if "client_max_window_bits=" in answer else 15
    keeps_in, keeps_out = "client_no_context_takeover" not in answer, "server_no_context_takeover" not in answer
    pack, unpack = zlib.compressobj(6, zlib.DEFLATED, -bits), zlib.decompressobj(-15)
    for i, (size, cut) in enumerate(SIZES * 2):
        data = (b'{"n": %d, "text": "the quick brown fox"} ' % i * (size // 30 + 1))[:size]
        if i % 3 == 2:
            data = os.urandom(size)
        if not keeps_in:
            pack = zlib.compressobj(6, zlib.DEFLATED, -bits)
        out = (pack.compress(data) + pack.flush(zlib.Z_SYNC_FLUSH))[:-4] or b"\0"
        pieces = [out[at:at + cut] for at in range(0, len(out), cut)] if cut else [out]
        client.send(b"".join(frame(BINARY if j == 0 else CONT, p, fin=j == len(pieces) - 1, rsv=4 if j == 0 else 0) +
                             (frame(PING, b"%d" % j) if j == 1 else b"") for j, p in enumerate(pieces)))
        got, f = b"", None
        while f is None or not (f.fin and f.opcode in (BINARY, CONT)):
            f = read_frame(client)
            if f.opcode == PONG:
                continue
            assert f.opcode in (BINARY, CONT), f
            is_packed = f.rsv == 4 if f.opcode == BINARY else is_packed
            got += f.payload
        if is_packed:
            unpack = unpack if keeps_out else zlib.decompressobj(-15)
            got = unpack.decompress(got + TAIL)
        assert got == data, f"message {i} of {size} bytes"
    client.send(frame(CLOSE, close_body(1000)))
    assert read_frame(client).code == 1000
    return answer


@pytest.mark.parametrize("way", ["plain", "tls"])
@pytest.mark.parametrize("compression", ["pass", "terminate"])
@pytest.mark.parametrize("server", ["python", "node"])
def test_compression_of_a_server_behind_the_proxy(holdfast, make_websocket, make_node, certs, server, compression, way):
    """pass: the answer is the server's own.  terminate: the server speaks none, and every message comes back all the same."""
    has = compression == "pass"
    backend = (make_websocket(compression="deflate" if has else None, max_size=None) if server == "python"
               else make_node("echo_server.js", json.dumps({"deflate": has})))
    hf = holdfast(backend, tls=way == "tls", route={"websocket": {"compression": compression, "ping_interval": "1h",
                                                                   "deflate": {"context_takeover": True}}})
    host, port = backend.address.rsplit(":", 1)
    for offer in OFFERS:
        through = deflate_run(hf.connect(tls=certs.client_context()) if way == "tls" else hf.connect(), offer)
        if has:
            direct = RawClient((host, int(port)))
            assert through == deflate_run(direct, offer)
            direct.close()
