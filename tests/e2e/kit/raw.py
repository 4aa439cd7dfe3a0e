"""A client that sends exactly the bytes it is given, and reads responses with one strict reading of its own."""
import socket
import struct
import time


class Truncated(Exception):
    """The connection ended in the midst of a response; `response` is what there was."""

    def __init__(self, response, got):
        super().__init__(f"cut short: {response} {got[-200:]!r}")
        self.response, self.got = response, got


class Malformed(Exception):
    """Not HTTP/1.1 as RFC 9112 has it."""


class Message:
    """A head, a body, and trailers."""

    def __init__(self, start, fields):
        self.start, self.fields = start, fields
        self.body, self.trailers = b"", []
        self.chunks = []

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def get(self, name, default=None):
        """The one field of the name; several are an error of the test or of the proxy."""
        values = self.all(name)
        if len(values) > 1:
            raise Malformed(f"{name} stands {len(values)} times: {values}")
        return values[0] if values else default

    @property
    def is_chunked(self):
        return "chunked" in (self.get("transfer-encoding") or "").lower()

    @property
    def text(self):
        return self.body.decode()

    def __repr__(self):
        return f"<{self.start} {self.fields} {len(self.body)} bytes>"


class Response(Message):
    @property
    def version(self):
        return self.start[0]

    @property
    def status(self):
        return int(self.start[1])


class Request(Message):
    @property
    def method(self):
        return self.start[0]

    @property
    def target(self):
        return self.start[1]


def parse_head(head, kind):
    """A head without its empty line; every line must end in CRLF and be well-formed."""
    lines = head.split(b"\r\n")
    if any(b"\n" in line or b"\r" in line or b"\0" in line for line in lines):
        raise Malformed(f"bare line ends or NUL in {head!r}")
    start = tuple(lines[0].decode("latin-1").split(" ", 2))
    if len(start) != 3 and not (kind is Response and len(start) == 2):
        raise Malformed(f"start line {lines[0]!r}")
    if kind is Response and (start[0] not in ("HTTP/1.1", "HTTP/1.0") or len(start[1]) != 3 or not start[1].isdigit()):
        raise Malformed(f"status line {lines[0]!r}")
    if kind is Request and start[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise Malformed(f"request line {lines[0]!r}")
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip() or b" " in name or b"\t" in name:
            raise Malformed(f"field {line!r}")
        fields.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    return kind(start, fields)


def body_length(message):
    """"chunked", a number, or None where nothing says it; two answers are an error."""
    lengths, codings = message.all("content-length"), message.all("transfer-encoding")
    if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
        raise Malformed(f"ambiguous length: {message.fields}")
    if codings:
        if codings[0].lower() != "chunked":
            raise Malformed(f"transfer coding {codings[0]}")
        return "chunked"
    if lengths:
        if not lengths[0].isascii() or not lengths[0].isdigit():
            raise Malformed(f"length {lengths[0]!r}")
        return int(lengths[0])
    return None


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunked(*pieces, trailers=b""):
    return b"".join(map(chunk, pieces)) + b"0\r\n" + trailers + b"\r\n"


def build_request(target="/", method="GET", headers=(), body=b"", host="localhost"):
    """A request with the obvious fields; those in `headers` with the same name replace them."""
    headers = list(headers.items() if isinstance(headers, dict) else headers)
    given = {n.lower() for n, _ in headers}
    if "host" not in given and host is not None:
        headers.insert(0, ("Host", host))
    if (body or method in ("POST", "PUT", "PATCH")) and not given & {"content-length", "transfer-encoding"}:
        headers.append(("Content-Length", str(len(body))))
    lines = [f"{method} {target} HTTP/1.1"] + [f"{n}: {v}" for n, v in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class RawClient:
    def __init__(self, address, tls=None, name="localhost", timeout=20.0, receive_buffer=None, session=None,
                 source=None):
        """address: (host, port) or the path of a UNIX socket; tls: an ssl.SSLContext; source: the address to come from."""
        family = socket.AF_UNIX if isinstance(address, str) else (
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.socket = socket.socket(family)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            if source:
                self.socket.bind((source, 0))
            try:
                self.socket.connect(address)
            except ConnectionResetError:
                pass  # accepted, and refused before this thread ran again: reading finds its end, writing a broken pipe
            if family != socket.AF_UNIX:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname=name, session=session)
        except BaseException:
            self.socket.close()
            raise
        self.buffer = b""
        self.ended = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- sending --

    def send(self, data):
        self.socket.sendall(data)
        return self

    def send_in_pieces(self, data, size=1):
        """Cut anywhere: each piece leaves in a segment of its own, as far as the kernel plays along."""
        for i in range(0, len(data), size):
            self.socket.sendall(data[i:i + size])
        return self

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def reset(self):
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.socket.close()

    # -- receiving --

    def fill(self):
        """More bytes into the buffer; False at the end."""
        if self.ended:
            return False
        data = self.socket.recv(262144)
        self.ended = not data
        self.buffer += data
        return bool(data)

    def read_exactly(self, count):
        pieces, got = [self.buffer], len(self.buffer)
        while got < count:
            data = b"" if self.ended else self.socket.recv(262144)
            if not data:
                self.ended = True
                raise Truncated(None, b"".join(pieces))
            pieces.append(data)
            got += len(data)
        whole = b"".join(pieces)
        self.buffer = whole[count:]
        return whole[:count]

    def read_until(self, mark):
        while mark not in self.buffer:
            if not self.fill():
                raise Truncated(None, self.buffer)
        head, _, self.buffer = self.buffer.partition(mark)
        return head

    def read_to_end(self):
        while self.fill():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def ends(self, how=("end", "reset")):
        """Waits for the other side's end, without anything more coming; gives "end" or "reset"."""
        try:
            data = self.read_to_end()
        except ConnectionError:
            data, how_it_was = self.buffer, "reset"
        else:
            how_it_was = "end"
        assert data == b"", f"bytes before the end: {data[:300]!r}"
        assert how_it_was in how
        return how_it_was

    def is_silent(self, seconds=0.2):
        """Does nothing come, not even the end?"""
        if self.buffer or self.ended:
            return False
        self.socket.settimeout(seconds)
        try:
            return not self.fill() and not self.ended
        except (TimeoutError, socket.timeout):
            return True
        finally:
            self.socket.settimeout(20)

    # -- HTTP --

    def read_head(self):
        return parse_head(self.read_until(b"\r\n\r\n"), Response)

    def read_chunks(self, message):
        while size := int(self.read_until(b"\r\n").partition(b";")[0], 16):
            message.chunks.append(self.read_exactly(size))
            if self.read_exactly(2) != b"\r\n":
                raise Malformed("no CRLF behind a chunk")

    def read_chunked(self, message):
        try:
            self.read_chunks(message)
        finally:
            message.body = b"".join(message.chunks)
        while True:
            line = self.read_until(b"\r\n")
            if not line:
                return
            name, _, value = line.partition(b":")
            message.trailers.append((name.decode("latin-1"), value.strip().decode("latin-1")))

    def read_body(self, response, method="GET"):
        if method == "HEAD" or response.status < 200 or response.status in (204, 304):
            return response
        length = body_length(response)
        try:
            if length == "chunked":
                self.read_chunked(response)
            elif length is None:
                response.body = self.read_to_end()
            else:
                response.body = self.read_exactly(length)
        except Truncated as e:
            raise Truncated(response, e.got) from None
        except ConnectionError:
            raise Truncated(response, self.buffer) from None
        return response

    def read_response(self, method="GET", interim=False):
        """The next final response, whole; with `interim` the next of any kind."""
        while True:
            response = self.read_head()
            if response.status >= 200 or response.status == 101 or interim:
                return self.read_body(response, method)

    def request(self, target="/", method="GET", headers=(), body=b""):
        self.send(build_request(target, method, headers, body))
        return self.read_response(method)

    # -- time --

    def seconds_until_end(self):
        """How long until the other side ends; its bytes are kept in `last_words`."""
        began = time.monotonic()
        try:
            self.last_words = self.read_to_end()
        except ConnectionError:
            self.last_words, self.buffer = self.buffer, b""
        return time.monotonic() - began
