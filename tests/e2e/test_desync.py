"""One reading of every message: what two readers of a connection might understand differently never leaves the proxy.

Requests go as raw bytes to the proxy, in front of a backend with one strict reading that records everything.  Lying
responses come as raw bytes from a backend, and a strict client looks at what is left of them."""
import itertools

import pytest

from kit.backends import ok
from kit.process import config_of
from kit.raw import Malformed, RawClient, Truncated, build_request, chunk, chunked

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
markers = itertools.count()


@pytest.fixture(scope="module")
def proxy(home, shared_holdfast, shared_factory):
    """(holdfast, recording backend), one worker: what came first is done first."""
    from kit.backends import Origin
    origin = Origin(home, lambda request, conn: ok("answered " + request.target))
    shared_factory.keep(origin, origin.stop)
    return shared_holdfast(origin, workers=1), origin


def outcome(hf, data, cut=None):
    """All responses to the bytes, then the end; an error of the connection counts as the end."""
    responses, method = [], data.lstrip()[:5].partition(b" ")[0].decode("latin-1")
    client = RawClient(hf.address, timeout=10)
    try:
        client.send_in_pieces(data, cut or len(data)).half_close()
    except OSError:
        pass  # refused before all of it was sent: the answer is there all the same
    try:
        while True:
            responses.append(client.read_response(method))
    except Truncated as e:
        assert not e.got, f"half a response: {e.got!r}"
    except ConnectionError:
        pass
    finally:
        client.close()
    return responses


def recorded(hf, origin):
    """What the backend got since the last call."""
    target = f"/marker-{next(markers)}"
    assert hf.request(target).status == 200
    assert not origin.violations, origin.violations
    got = [r for r in origin.requests if r.target != target]
    origin.requests.clear()
    return got


def req(*lines, body=b"", start="POST / HTTP/1.1", host="Host: localhost"):
    head = [start, *([host] if host else []), *lines]
    return b"\r\n".join(x if isinstance(x, bytes) else x.encode("latin-1") for x in head) + b"\r\n\r\n" + body


def get(*lines, start="GET / HTTP/1.1", **parts):
    return req(*lines, start=start, **parts)


CL, TE = "Content-Length: 5", "Transfer-Encoding: chunked"
END = b"0\r\n\r\n"

# name, bytes, status: refused, and nothing of it reaches the backend whole
REFUSED = [
    # two lengths
    ("length and chunked", req(CL, TE, body=END), 400),
    ("chunked and length", req(TE, CL, body=END), 400),
    ("length 0 and chunked", req("Content-Length: 0", TE, body=END), 400),
    ("two lengths", req(CL, "Content-Length: 6", body=b"hello!"), 400),
    ("two lengths that agree", req(CL, CL, body=b"hello"), 400),
    ("a list of lengths", req("Content-Length: 5, 6", body=b"hello!"), 400),
    ("a list of lengths that agree", req("Content-Length: 5, 5", body=b"hello"), 400),
    ("lengths in two cases", req(CL, "content-length: 0", body=b"hello"), 400),
    # lengths that are none
    ("length +5", req("Content-Length: +5", body=b"hello"), 400),
    ("length -5", req("Content-Length: -5", body=b"hello"), 400),
    ("length -0", req("Content-Length: -0"), 400),
    ("length 0x5", req("Content-Length: 0x5", body=b"hello"), 400),
    ("length 5.0", req("Content-Length: 5.0", body=b"hello"), 400),
    ("length 5e0", req("Content-Length: 5e0", body=b"hello"), 400),
    ("length 5 5", req("Content-Length: 5 5", body=b"hello"), 400),
    ("length 5;", req("Content-Length: 5;", body=b"hello"), 400),
    ("length 1_0", req("Content-Length: 1_0", body=b"hellohello"), 400),
    ("length in quotes", req('Content-Length: "5"', body=b"hello"), 400),
    ("empty length", req("Content-Length: ", body=b"hello"), 400),
    ("length of words", req("Content-Length: five", body=b"hello"), 400),
    ("length beyond 64 bits", req("Content-Length: 18446744073709551621", body=b"hello"), 400),
    ("length beyond 63 bits", req("Content-Length: 9223372036854775808", body=b"hello"), 400),
    ("length of 40 digits", req("Content-Length: " + "9" * 40, body=b"hello"), 400),
    ("length with vertical tab", req(b"Content-Length: \x0b5", body=b"hello"), 400),
    ("length with a NUL", req(b"Content-Length: 5\x00", body=b"hello"), 400),
    ("length with arabic digits", req("Content-Length: 5".encode()[:-1] + "٥".encode(), body=b"hello"), 400),
    # transfer codings
    ("unknown coding", req("Transfer-Encoding: gzip", body=END), (400, 501)),
    ("unknown coding before chunked", req("Transfer-Encoding: gzip, chunked", body=END), 501),
    ("chunked not last", req("Transfer-Encoding: chunked, gzip", body=END), (400, 501)),
    ("chunked twice", req("Transfer-Encoding: chunked, chunked", body=END), 400),
    ("chunked in two fields", req(TE, TE, body=END), 400),
    ("identity", req("Transfer-Encoding: identity", CL, body=b"hello"), (400, 501)),
    ("identity, then chunked", req("Transfer-Encoding: identity", TE, body=END), (400, 501)),
    ("chunked, then identity", req(TE, "Transfer-Encoding: identity", body=END), (400, 501)),
    ("xchunked", req("Transfer-Encoding: xchunked", CL, body=END), (400, 501)),
    ("chunked in quotes", req('Transfer-Encoding: "chunked"', body=END), (400, 501)),
    ("chunked with parameter", req("Transfer-Encoding: chunked;a=b", body=END), (400, 501)),
    ("empty coding", req("Transfer-Encoding: ", body=END), 400),
    ("coding of commas", req("Transfer-Encoding: ,", body=END), 400),
    ("coding in HTTP/1.0", req(TE, start="POST / HTTP/1.0", body=END), 400),
    ("coding with a NUL", req(b"Transfer-Encoding: chunked\x00", body=END), 400),
    ("coding with vertical tab", req(b"Transfer-Encoding: \x0bchunked", body=END), 400),
    ("coding with form feed", req(b"Transfer-Encoding: chunked\x0c", body=END), 400),
    ("coding with byte 0xff", req(b"Transfer-Encoding: chunked\xff", CL, body=END), (400, 501)),
    # names
    ("space before colon", req("Content-Length : 5", body=b"hello"), 400),
    ("tab before colon", req("Transfer-Encoding\t: chunked", body=END), 400),
    ("space before colon of any field", get("X-A : b"), 400),
    ("space in a name", get("X A: b"), 400),
    ("no name", get(": b"), 400),
    ("no colon", get("X-A"), 400),
    ("NUL in a name", get(b"X-\x00A: b"), 400),
    ("colon-less smuggle", get("GET /smuggled HTTP/1.1"), 400),
    ("brackets in a name", get("X[A]: b"), 400),
    ("byte 0x80 in a name", get(b"Content-Length\x80: 5"), 400),
    ("CR in a name", get(b"X\rA: b"), 400),
    # folding and line ends
    ("folded with space", get("X-A: b", " c"), 400),
    ("folded with tab", get("X-A: b", "\tc"), 400),
    ("folded coding", req("Transfer-Encoding:", " chunked", body=END), 400),
    ("space before the first field", get(" X-A: b", host=None), 400),
    ("folded first line", b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n", 400),
    ("bare LF ends the request line", b"GET / HTTP/1.1\nHost: localhost\r\n\r\n", 400),
    ("bare LF ends a field", get(b"X-A: b\nX-B: c"), 400),
    ("bare LF hides a length", req(b"X-A: b\nContent-Length: 5", body=b"hello"), 400),
    ("bare LF ends the head", b"GET / HTTP/1.1\r\nHost: localhost\r\n\n", 400),
    ("bare LFs throughout", b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
    ("bare CR in a value", get(b"X-A: b\rc"), 400),
    ("bare CR hides a coding", req(b"X-A: b\rTransfer-Encoding: chunked", CL, body=b"hello"), 400),
    ("bare CR ends the request line", b"GET / HTTP/1.1\rHost: localhost\r\n\r\n", 400),
    ("CR CR LF", get(b"X-A: b\r"), 400),
    ("LF CR", b"GET / HTTP/1.1\n\rHost: localhost\n\r\n\r", 400),
    # values
    ("NUL in a value", get(b"X-A: b\x00c"), 400),
    ("control character in a value", get(b"X-A: b\x01c"), 400),
    ("escape in a value", get(b"X-A: \x1b[0m"), 400),
    ("DEL in a value", get(b"X-A: b\x7f"), 400),
    # Host
    ("no Host", get(host=None), 400),
    ("two Hosts", get("Host: evil"), 400),
    ("two Hosts that agree", get("Host: localhost"), 400),
    ("Host with a space", get(host="Host: local host"), 400),
    ("Host with a path", get(host="Host: localhost/x"), 400),
    ("Host with a user", get(host="Host: user@localhost"), 400),
    ("Host with a comma", get(host="Host: localhost, evil"), 400),
    ("Host with a bad port", get(host="Host: localhost:port"), 400),
    ("Host with a port beyond 65535", get(host="Host: localhost:65536"), 400),
    ("Host with a broken bracket", get(host="Host: [::1"), 400),
    ("Host with a question mark", get(host="Host: localhost?x"), 400),
    ("Host with a quote", get(host='Host: "localhost"'), 400),
    # request lines
    ("two spaces before the target", get(start="GET  / HTTP/1.1"), 400),
    ("two spaces before the version", get(start="GET /  HTTP/1.1"), 400),
    ("tab in the request line", get(start="GET\t/ HTTP/1.1"), 400),
    ("space before the method", get(start=" GET / HTTP/1.1"), 400),
    ("space behind the version", get(start="GET / HTTP/1.1 "), 400),
    ("no version", get(start="GET /"), 400),
    ("no target", get(start="GET HTTP/1.1"), 400),
    ("only a method", b"GET\r\n\r\n", 400),
    ("space in the target", get(start="GET /a b HTTP/1.1"), 400),
    ("NUL in the target", get(start=b"GET /a\x00b HTTP/1.1"), 400),
    ("control character in the target", get(start=b"GET /a\x01b HTTP/1.1"), 400),
    ("byte 0xff in the target", get(start=b"GET /a\xff HTTP/1.1"), 400),
    ("fragment in the target", get(start="GET /a#b HTTP/1.1"), 400),
    ("relative target", get(start="GET a HTTP/1.1"), 400),
    ("asterisk for GET", get(start="GET * HTTP/1.1"), 400),
    ("authority for GET", get(start="GET localhost:80 HTTP/1.1"), 400),
    ("absolute target of another scheme", get(start="GET ftp://localhost/ HTTP/1.1"), 400),
    ("absolute target with a user", get(start="GET http://a@localhost/ HTTP/1.1"), 400),
    ("absolute target without a host", get(start="GET http:///x HTTP/1.1"), 400),
    ("method that is no token", get(start="G(ET / HTTP/1.1"), 400),
    ("method with a NUL", get(start=b"G\x00ET / HTTP/1.1"), 400),
    ("lower-case version", get(start="GET / http/1.1"), 400),
    ("version HTTP/1.", get(start="GET / HTTP/1."), 400),
    ("version HTTP/1.1.1", get(start="GET / HTTP/1.1.1"), 400),
    ("version HTTP/01.1", get(start="GET / HTTP/01.1"), (400, 505)),
    ("version HTTP/1.10", get(start="GET / HTTP/1.10"), 400),
    ("version HTTP/11", get(start="GET / HTTP/11"), 400),
    ("version HTTPS/1.1", get(start="GET / HTTPS/1.1"), 400),
    ("version HTTP/0.9", get(start="GET / HTTP/0.9"), (400, 505)),
    ("version HTTP/2.0", get(start="GET / HTTP/2.0"), 505),
    ("version HTTP/3.0", get(start="GET / HTTP/3.0"), 505),
    ("HTTP/0.9", b"GET /\r\n\r\n", 400),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
    ("a TLS hello", bytes.fromhex("16030100c8010000c40303") + b"\x00" * 190 + b"\r\n\r\n", 400),
    ("NULs", b"\x00" * 64 + b"\r\n\r\n", 400),
    ("byte order mark", b"\xef\xbb\xbf" + get(), 400),
    ("a hundred empty lines", b"\r\n" * 100 + get(), 400),
    ("bare LF in front", b"\n" + get(), 400),
    ("a PROXY header that nobody wants", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get(), 400),
    # chunks
    ("chunk size without digits", req(TE, body=b"\r\nhello\r\n" + END), 400),
    ("chunk size of a word", req(TE, body=b"five\r\nhello\r\n" + END), 400),
    ("chunk size 0x5", req(TE, body=b"0x5\r\nhello\r\n" + END), 400),
    ("chunk size +5", req(TE, body=b"+5\r\nhello\r\n" + END), 400),
    ("chunk size -5", req(TE, body=b"-5\r\nhello\r\n" + END), 400),
    ("chunk size beyond 64 bits", req(TE, body=b"10000000000000005\r\nhello\r\n" + END), 400),
    ("chunk size beyond 63 bits", req(TE, body=b"8000000000000000\r\nhello\r\n" + END), 400),
    ("chunk size of 32 digits", req(TE, body=b"0" * 31 + b"5\r\nhello\r\n" + END), 400),
    ("space before chunk size", req(TE, body=b" 5\r\nhello\r\n" + END), 400),
    ("space behind chunk size", req(TE, body=b"5 \r\nhello\r\n" + END), 400),
    ("chunk size ended by LF", req(TE, body=b"5\nhello\r\n" + END), 400),
    ("chunk size ended by CR", req(TE, body=b"5\rhello\r\n" + END), 400),
    ("chunk data ended by LF", req(TE, body=b"5\r\nhello\n" + END), 400),
    ("chunk data without its end", req(TE, body=b"5\r\nhello" + END), 400),
    ("chunk longer than it says", req(TE, body=b"4\r\nhello\r\n" + END), 400),
    ("LF within a chunk extension", req(TE, body=b"5;a\nb\r\nhello\r\n" + END), 400),
    ("CR within a chunk extension", req(TE, body=b"5;a\rb\r\nhello\r\n" + END), 400),
    ("NUL within a chunk extension", req(TE, body=b"5;a=\x00\r\nhello\r\n" + END), 400),
    ("a chunk extension without end", req(TE, body=b"5;" + b"a" * 20000 + b"\r\nhello\r\n" + END), 400),
    ("bare LF ends the trailers", req(TE, body=b"0\r\n\n"), 400),
    ("a folded trailer", req(TE, body=b"0\r\nX: y\r\n z\r\n\r\n"), 400),
    ("a trailer without colon", req(TE, body=b"0\r\nX\r\n\r\n"), 400),
    ("a trailer with a space in its name", req(TE, body=b"0\r\nX y: z\r\n\r\n"), 400),
    ("trailers without end", req(TE, body=b"0\r\n" + b"X: y\r\n" * 20000), (400, 431)),
]


@pytest.mark.parametrize("cut", [None, 1], ids=["whole", "cut"])
@pytest.mark.parametrize("data, status", [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_ambiguous_request_is_refused_and_ends_the_connection(proxy, data, status, cut):
    hf, origin = proxy
    if cut and len(data) > 2000:
        cut = 997
    responses = outcome(hf, data + SMUGGLED, cut)
    got = [r.status for r in responses]
    want = status if isinstance(status, tuple) else (status,)
    assert len(got) == 1 and got[0] in want, f"{got}, want {status}"
    assert responses[0].get("connection", "").lower() == "close"
    assert not [r for r in recorded(hf, origin) if r.is_whole]


# name, bytes, targets that the backend gets: unusual, and with one meaning only
ACCEPTED = [
    ("empty lines in front", b"\r\n\r\n" + get(), ["/"]),
    ("empty line between requests", get() + b"\r\n" + get(start="GET /2 HTTP/1.1"), ["/", "/2"]),
    ("minor version 2", get(start="GET / HTTP/1.2"), ["/"]),
    ("HTTP/1.0 without Host", get(start="GET / HTTP/1.0", host=None), ["/"]),
    ("Host with a port", get(host="Host: localhost:8080"), ["/"]),
    ("Host in brackets", get(host="Host: [::1]:80"), ["/"]),
    ("no space behind the colon", get("X-A:b"), ["/"]),
    ("white space around a value", get("X-A: \t b \t"), ["/"]),
    ("bytes above 0x7f in a value", get(b"X-A: caf\xc3\xa9 \xff"), ["/"]),
    ("coding in capitals", req("Transfer-Encoding: CHUNKED", body=chunked(b"hello")), ["/"]),
    ("coding with white space around", req("Transfer-Encoding: \t chunked \t", body=chunked(b"hello")), ["/"]),
    ("length with leading zeros", req("Content-Length: 005", body=b"hello"), ["/"]),
    ("length 0", req("Content-Length: 0"), ["/"]),
    ("GET with a body", get(f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED), ["/"]),
    ("GET with a chunked body", get(TE, body=chunked(SMUGGLED)), ["/"]),
    ("HEAD with a body", req(CL, start="HEAD / HTTP/1.1", body=b"hello"), ["/"]),
    ("chunk extensions", req(TE, body=b"5;a=b;c=\"d e\"\r\nhello\r\n0;last\r\n\r\n"), ["/"]),
    ("chunk size with zeros", req(TE, body=b"0005\r\nhello\r\n000\r\n\r\n"), ["/"]),
    ("chunk size in capitals", req(TE, body=b"A\r\nhellohello\r\n0\r\n\r\n"), ["/"]),
    ("a body that looks like requests", req(f"Content-Length: {2 * len(SMUGGLED)}", body=SMUGGLED * 2), ["/"]),
    ("a chunk that looks like an end", req(TE, body=chunked(b"0\r\n\r\n" + SMUGGLED)), ["/"]),
    ("escaped line ends in the target", get(start="GET /a%0d%0aX:%20y HTTP/1.1"), ["/a%0d%0aX:%20y"]),
    ("a trailer", req(TE, body=chunked(b"x", trailers=b"X-Sum: 1\r\n")), ["/"]),
]


@pytest.mark.parametrize("cut", [None, 1], ids=["whole", "cut"])
@pytest.mark.parametrize("data, targets", [a[1:] for a in ACCEPTED], ids=[a[0] for a in ACCEPTED])
def test_unusual_request_has_one_meaning(proxy, data, targets, cut):
    hf, origin = proxy
    responses = outcome(hf, data, cut)
    status = {r.status for r in responses}
    assert status <= {200, 400} and len(status) == 1
    got = [r.target for r in recorded(hf, origin) if r.is_whole]
    assert got == (targets if status == {200} else []), "either refused or read as it must be"
    if status == {200}:
        assert len(responses) == len(targets)


def test_what_follows_a_refused_request_is_never_read(proxy):
    hf, origin = proxy
    assert [r.status for r in outcome(hf, get() + req(CL, TE, body=END) + SMUGGLED)] == [200, 400]
    assert [r.target for r in recorded(hf, origin)] == ["/"]


@pytest.mark.parametrize("target", ["/../secret", "/a/../../secret", "/%2e%2e/secret", "/..", "/a/%2E%2E/%2e%2e/x",
                                    "/a%00b", "/%zz", "/%4", "/%", "/a%0"])
def test_path_that_leaves_the_root_or_is_no_path_is_refused(proxy, target):
    hf, origin = proxy
    assert [r.status for r in outcome(hf, get(start=f"GET {target} HTTP/1.1"))] == [400]
    assert not recorded(hf, origin)


# ---- responses that lie ----

def resp(*lines, body=b"", status="HTTP/1.1 200 OK"):
    return b"\r\n".join(x if isinstance(x, bytes) else x.encode("latin-1") for x in [status, *lines]) + b"\r\n\r\n" + body


EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Evil: 1\r\n\r\nEVIL!"

# name, bytes, what the client may see: a status, "cut" (a response that is seen to be incomplete), or "body" (exactly that)
LIES = [
    ("two lengths", resp(CL, "Content-Length: 6", body=b"hello!"), 502),
    ("two lengths that agree", resp(CL, CL, body=b"hello"), 502),
    ("a list of lengths", resp("Content-Length: 5, 6", body=b"hello!"), 502),
    ("length and chunked", resp(CL, TE, body=chunked(b"hello")), 502),
    ("length -1", resp("Content-Length: -1", body=b"hello"), 502),
    ("length of a word", resp("Content-Length: many", body=b"hello"), 502),
    ("empty length", resp("Content-Length:", body=b"hello"), 502),
    ("length beyond 64 bits", resp("Content-Length: 18446744073709551621", body=b"hello"), 502),
    ("unknown coding", resp("Transfer-Encoding: gzip", body=b"hello"), 502),
    ("chunked twice", resp("Transfer-Encoding: chunked, chunked", body=chunked(b"hello")), 502),
    ("chunked not last", resp("Transfer-Encoding: chunked, gzip", body=chunked(b"hello")), 502),
    ("chunked in HTTP/1.0", resp(TE, body=chunked(b"hello"), status="HTTP/1.0 200 OK"), 502),
    ("status 99", resp(CL, body=b"hello", status="HTTP/1.1 99 No"), 502),
    ("status 1000", resp(CL, body=b"hello", status="HTTP/1.1 1000 No"), 502),
    ("status 20", resp(CL, body=b"hello", status="HTTP/1.1 20 No"), 502),
    ("status abc", resp(CL, body=b"hello", status="HTTP/1.1 abc No"), 502),
    ("no status", resp(CL, body=b"hello", status="HTTP/1.1"), 502),
    ("version 2", resp(CL, body=b"hello", status="HTTP/2.0 200 OK"), 502),
    ("ICY", resp(CL, body=b"hello", status="ICY 200 OK"), 502),
    ("garbage", b"\x16\x03\x01\x02\x00\x01\r\n\r\n" + EVIL, 502),
    ("HTTP/0.9", b"<html>hello</html>", 502),
    ("control character in the reason", resp(CL, body=b"hello", status=b"HTTP/1.1 200 \x01"), 502),
    ("bare LFs", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", 502),
    ("bare LF hides a field", resp(b"X-A: b\nX-Evil: 1", CL, body=b"hello"), 502),
    ("bare CR in a value", resp(b"X-A: b\rc", CL, body=b"hello"), 502),
    ("NUL in a value", resp(b"X-A: b\x00", CL, body=b"hello"), 502),
    ("folded field", resp("X-A: b", " c", CL, body=b"hello"), 502),
    ("space before colon", resp("Content-Length : 5", body=b"hello"), 502),
    ("no colon", resp("X-A", CL, body=b"hello"), 502),
    ("head without end", b"HTTP/1.1 200 OK\r\nX-A: b\r\n", 502),
    ("head of a megabyte", resp("X-A: " + "b" * (1 << 20), CL, body=b"hello"), 502),
    ("fields without end", b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100000, 502),
    ("nothing", b"", 502),
    ("half a status line", b"HTTP/1.1 2", 502),
    ("101 unasked", resp("Upgrade: websocket", "Connection: Upgrade", status="HTTP/1.1 101 Switching Protocols",
                         body=EVIL), 502),
    ("101 without Upgrade", resp(status="HTTP/1.1 101 Switching Protocols", body=EVIL), 502),
    ("interim responses only", resp(status="HTTP/1.1 103 Early Hints"), 502),
    ("interim responses without end", resp(status="HTTP/1.1 103 Early Hints") * 5000, (502, "cut")),
    ("interim response with a length", resp(CL, status="HTTP/1.1 103 Early Hints") + ok("fine!"), (502, b"fine!")),
    ("body longer than its length", resp(CL, body=b"hello" + EVIL), b"hello"),
    ("length 0 with a body", resp("Content-Length: 0", body=EVIL), b""),
    ("204 with a body", resp(CL, status="HTTP/1.1 204 No Content", body=EVIL), b""),
    ("304 with a body", resp("Content-Length: 100", status="HTTP/1.1 304 Not Modified", body=EVIL), b""),
    ("two responses", ok("hello") + EVIL, b"hello"),
    ("a response behind chunks", resp(TE, body=chunked(b"hello") + EVIL), b"hello"),
    ("body shorter than its length", resp("Content-Length: 100", body=b"hello"), "cut"),
    ("chunk size of a word", resp(TE, body=b"five\r\nhello\r\n0\r\n\r\n"), (502, "cut")),
    ("chunk size beyond 64 bits", resp(TE, body=b"10000000000000005\r\nhello\r\n0\r\n\r\n"), (502, "cut")),
    ("chunk longer than it says", resp(TE, body=b"2\r\nhello\r\n0\r\n\r\n"), (502, "cut")),
    ("chunk size ended by LF", resp(TE, body=b"5\nhello\r\n0\r\n\r\n"), (502, "cut")),
    ("chunk extension without end", resp(TE, body=b"5;" + b"a" * 100000), (502, "cut")),
    ("chunks without the last", resp(TE, body=chunk(b"hello")), "cut"),
    ("trailers without end", resp(TE, body=chunk(b"hello") + b"0\r\n" + b"X: y\r\n" * 50000), "cut"),
    ("trailer with a bare LF", resp(TE, body=chunk(b"hello") + b"0\r\nX: y\nX-Evil: 1\r\n\r\n"), "cut"),
    ("trailer that sets a length", resp(TE, body=chunk(b"hello") + b"0\r\nContent-Length: 5\r\n\r\n"), (b"hello", "cut")),
]


@pytest.fixture(scope="module")
def liar(home, shared_holdfast, shared_factory):
    """A backend that answers /N with the Nth lie and closes, everything else truthfully."""
    from kit.backends import Origin

    async def reply(request, conn):
        if not request.target[1:].isdigit():
            return ok("the truth")
        await conn.send(LIES[int(request.target[1:])][1])
        conn.half_close()
        await conn.read_to_end()
        conn.close()
    origin = Origin(home, reply)
    shared_factory.keep(origin, origin.stop)
    config = config_of(origin, workers=1, cluster={"timeouts": {"response": "3s", "idle": "3s"}})
    return shared_holdfast(config=config)


@pytest.mark.parametrize("number, want", [(i, x[2]) for i, x in enumerate(LIES)], ids=[x[0] for x in LIES])
def test_lying_response_never_becomes_two(liar, number, want):
    wants = want if isinstance(want, tuple) else (want,)
    client = RawClient(liar.address, timeout=10)
    client.send(build_request(f"/{number}"))
    try:
        response = client.read_response()
        assert not response.get("x-evil")
        got = 502 if response.status == 502 else response.body
    except (Truncated, ConnectionError):
        got = "cut"
    assert got in wants, f"{got!r:.200}, want {want!r}"
    if got != "cut":  # the connection may go on: then the next answer is the next request's
        try:
            client.send(build_request("/truth"))
            assert client.read_response().text == "the truth"
        except (Truncated, ConnectionError) as e:
            assert not getattr(e, "got", b"")
    client.close()
    for _ in range(3):  # nor does another client get what the liar had to say
        assert liar.request("/truth").text == "the truth"


def test_bytes_that_come_unasked_on_a_pooled_connection_answer_nobody(home, holdfast, make_origin):
    """The backend speaks on an idle connection: the next request there must not take it for its answer."""
    async def reply(request, conn):
        await conn.send(ok("the truth"))
        if len(conn.requests) == 1 and request.target == "/speaks":
            await conn.send(EVIL)
            conn.has_spoken = True
    origin = make_origin(reply)
    hf = holdfast(origin, workers=1)
    for _ in range(20):
        client = hf.connect()
        for target in ("/speaks", "/a", "/b", "/speaks"):
            response = client.request(target)
            assert response.text == "the truth" and not response.get("x-evil")
        client.close()


def test_interim_flood_is_bounded(holdfast, make_origin):
    """1xx without end: neither memory nor time without end."""
    async def reply(request, conn):
        while conn.ended is None and not conn.writer.is_closing():
            await conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100)
    hf = holdfast(make_origin(reply), cluster={"timeouts": {"response": "1s"}})
    client = hf.connect().send(build_request())
    try:
        assert client.read_response().status in (502, 504)
    except (Truncated, ConnectionError, Malformed):
        pass
    assert hf.is_running()
