"""Listeners of protocol tcp: by the name in a ClientHello, told on by PROXY headers, from several source addresses."""
import copy
import os
import ssl
import struct
import threading

import pytest

from kit.backends import named
from kit.kernel import free_port
from kit.raw import RawClient, build_request
from kit.wait import wait_until

TCP = {"protocol": "tcp"}
V2 = b"\r\n\r\n\x00\r\nQUIT\n"


def client_hello(name=None, alpn=()):
    """A real one, of OpenSSL's making."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


def in_records(hello, size):
    """The same message, cut into records of so many bytes."""
    body = hello[5:]
    return b"".join(hello[:3] + struct.pack(">H", len(part)) + part
                    for part in (body[i:i + size] for i in range(0, len(body), size)))


async def sink(conn):
    while await conn.read():
        pass


async def echo(conn):
    while data := await conn.read():
        await conn.send(data)


@pytest.fixture
def by_name(holdfast, make_raw):
    """Clusters a, b and the rest, each with a backend that keeps what it gets."""
    backends = {n: make_raw(echo) for n in ("a", "b", "rest")}

    def make(rest=True, **more):
        listener = {**TCP, "sni": {"a.test": "a", "*.b.test": "b"}, **({"cluster": "rest"} if rest else {"cluster": None}), **more}
        listener = {k: v for k, v in listener.items() if v is not None}
        listener.setdefault("bind", [f"127.0.0.1:{free_port()}"])
        return holdfast(clusters={n: {"endpoints": [b]} for n, b in backends.items()},
                        listeners=[{"name": "web", **listener}])
    return make, backends


@pytest.mark.parametrize("name, cluster", [("a.test", "a"), ("A.Test", "a"), ("x.b.test", "b"), ("b.test", "rest"),
                                           ("other.test", "rest"), (None, "rest")])
def test_the_name_chooses_and_the_hello_passes_unopened(by_name, name, cluster):
    make, backends = by_name
    client = make().connect()
    hello = client_hello(name)
    client.send(hello)
    assert client.read_exactly(len(hello)) == hello
    assert [n for n, b in backends.items() if b.conns] == [cluster]
    client.send(b"and more")
    assert client.read_exactly(8) == b"and more"


@pytest.mark.parametrize("cut", ["bytes", "records", "records of one", "with more behind"])
def test_a_hello_may_be_cut_anywhere(by_name, cut):
    make, backends = by_name
    client = make().connect()
    hello = client_hello("a.test")
    if cut == "bytes":
        client.send_in_pieces(hello, 7)
    elif cut == "records":
        hello = in_records(hello, 100)
        client.send_in_pieces(hello, 50)
    elif cut == "records of one":
        hello = in_records(hello, 30)
        client.send(hello)
    else:
        hello += os.urandom(30000)
        client.send(hello)
    assert client.read_exactly(len(hello)) == hello
    assert backends["a"].conns and not backends["rest"].conns


def test_tls_ends_at_the_backend(holdfast, make_origin, certs):
    """A whole handshake and a request, through a proxy that has no key."""
    origin = make_origin(named("secure"), tls=certs.server_context())
    hf = holdfast(clusters={"c": {"endpoints": [origin]}},
                  listeners=[{"name": "web", "bind": [f"127.0.0.1:{free_port()}"], **TCP, "sni": {"localhost": "c"}}])
    assert hf.request(tls=certs.client_context(alpn=()), name="localhost").text == "secure"


@pytest.mark.parametrize("first", [
    b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\x01" * 40, b"\x16\x03\x01\x00\x05\x02hello",
    b"\x00", b"\x16\x03\x01\x00\x04\x01\xff\xff\xff" + b"\x16\x03\x01\x40\x00" + b"x" * 16384 * 2],
    ids=["http", "long record", "no hello", "zero", "huge"])
def test_what_is_no_client_hello_is_closed_and_counted(by_name, first):
    make, backends = by_name
    hf = make()
    client = hf.connect()
    try:
        client.send(first)
    except ConnectionError:
        pass  # refused already
    client.seconds_until_end()
    assert client.last_words == b""
    hf.wait_access(lambda line: line.get("reason") == "client_hello")
    assert not any(b.conns for b in backends.values())


def test_an_unknown_name_without_a_default_is_closed(by_name):
    make, backends = by_name
    hf = make(rest=False)
    client = hf.connect()
    client.send(client_hello("other.test"))
    client.seconds_until_end()
    hf.wait_access(lambda line: line.get("reason") == "no_server_name")
    assert not any(b.conns for b in backends.values())


def test_half_a_hello_has_a_deadline(by_name):
    make, _ = by_name
    hf = make(timeouts={"handshake": "1s"})
    client = hf.connect()
    try:
        client.send(client_hello("a.test")[:40])
    except ConnectionError:
        pass  # slow machines: over already
    client.seconds_until_end()
    hf.wait_access(lambda line: line.get("reason") == "timeout_handshake")


def test_a_client_that_goes_in_its_hello_leaves_nothing(by_name):
    make, backends = by_name
    hf = make()
    client = hf.connect()
    client.send(client_hello("a.test")[:40]).half_close()
    client.seconds_until_end()
    hf.wait_access(lambda line: line.get("reason") == "client_hello")
    assert not any(b.conns for b in backends.values())


# ---- PROXY header version 2 ----

def tlvs_of(data):
    found = {}
    while data:
        kind, length = data[0], int.from_bytes(data[1:3], "big")
        found[kind] = data[3:3 + length]
        data = data[3 + length:]
    return found


def v2_tlvs(received):
    """Those of the header, IPv4, at the beginning of what a backend has got."""
    assert received[:12] == V2 and received[13] == 0x11
    length = int.from_bytes(received[14:16], "big")
    return tlvs_of(bytes(received[16 + 12:16 + length])), bytes(received[16 + length:])


def test_the_name_of_a_passed_hello_is_told_on(holdfast, make_raw):
    backend = make_raw(sink)
    hf = holdfast(clusters={"c": {"endpoints": [backend], "proxy_protocol": "v2"}},
                  listeners=[{"name": "web", "bind": [f"127.0.0.1:{free_port()}"], **TCP, "sni": {"a.test": "c"}}])
    hello = client_hello("a.test")
    client = hf.connect()
    client.send(hello)
    wait_until(lambda: backend.conns and bytes(backend.conns[0].received).endswith(hello), "the hello")
    tlvs, rest = v2_tlvs(backend.conns[0].received)
    assert rest == hello and tlvs == {0x02: b"a.test"}


@pytest.mark.parametrize("listener", [TCP, {}], ids=["tcp", "http"])
def test_what_tls_has_told_is_told_on(holdfast, make_raw, certs, listener):
    backend = make_raw(sink)
    hf = holdfast(backend, listener=listener, tls={"alpn": ["http/1.1"]}, cluster={"proxy_protocol": "v2"})
    client = hf.connect(tls=certs.client_context(alpn=("http/1.1",)), name="localhost")
    client.send(build_request())
    wait_until(lambda: backend.conns and b"GET / " in backend.conns[0].received, "the request")
    tlvs, rest = v2_tlvs(backend.conns[0].received)
    assert rest.startswith(b"GET / ")
    assert tlvs[0x01] == b"http/1.1" and tlvs[0x02] == b"localhost"
    assert tlvs[0x20][:1] == b"\x01" and tlvs[0x20][1:5] != b"\x00" * 4, "TLS, and no verified certificate"
    assert tlvs_of(tlvs[0x20][5:]) == {0x21: b"TLSv1.3"}


def test_plaintext_tells_nothing(holdfast, make_raw):
    backend = make_raw(sink)
    client = holdfast(backend, listener=TCP, cluster={"proxy_protocol": "v2"}).connect()
    client.send(b"x")
    wait_until(lambda: backend.conns and backend.conns[0].received.endswith(b"x"), "the byte")
    assert v2_tlvs(backend.conns[0].received) == ({}, b"x")


# ---- source addresses ----

def test_connections_come_from_the_addresses_in_turn(holdfast, make_raw):
    backend = make_raw(echo)
    hf = holdfast(backend, listener=TCP, workers=1,
                  cluster={"source_addresses": ["127.0.0.2", "127.0.0.3", "::1"]})
    for _ in range(6):
        client = hf.connect().send(b"hi")
        assert client.read_exactly(2) == b"hi"
    got = sorted(c.writer.get_extra_info("peername")[0] for c in backend.conns)
    assert got.count("127.0.0.2") >= 2 and got.count("127.0.0.3") >= 2 and len(got) == 6


def test_an_address_that_is_not_ours_is_said(holdfast, make_raw):
    hf = holdfast(make_raw(echo), listener=TCP, cluster={"source_addresses": ["192.0.2.1"]})
    hf.connect().seconds_until_end()
    hf.wait_log("no connection from 192.0.2.1: Cannot assign requested address")
