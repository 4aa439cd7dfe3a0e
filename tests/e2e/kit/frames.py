"""WebSocket frames by hand (RFC 6455), right or wrong as asked, and a raw client that speaks them."""
import base64
import hashlib
import os
import struct

from kit.raw import build_request

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def mask_bytes(data, key):
    whole = (key * (len(data) // 4 + 1))[:len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(whole, "big")).to_bytes(len(data), "big")


def frame(opcode, payload=b"", fin=True, mask=True, rsv=0, length=None, width=None):
    """One frame.  `length` lies about the payload; `width` 0, 2 or 8 forces that many extended bytes."""
    payload = payload.encode() if isinstance(payload, str) else payload
    length = len(payload) if length is None else length
    if width is None:
        width = 0 if length < 126 else 2 if length < 65536 else 8
    head = bytes([fin << 7 | rsv << 4 | opcode, (0x80 if mask else 0) | {0: length & 0x7f, 2: 126, 8: 127}[width]])
    head += {0: b"", 2: struct.pack(">H", length & 0xffff), 8: struct.pack(">Q", length)}[width]
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + mask_bytes(payload, key)


def close_body(code, reason=""):
    return struct.pack(">H", code) + reason.encode()


class Frame:
    def __init__(self, opcode, payload, fin, rsv, masked):
        self.opcode, self.payload, self.fin, self.rsv, self.masked = opcode, payload, fin, rsv, masked

    @property
    def code(self):
        """Of a Close; 1005 where there is none."""
        return struct.unpack(">H", self.payload[:2])[0] if self.payload else 1005

    @property
    def reason(self):
        return self.payload[2:].decode()

    def __repr__(self):
        return f"<opcode {self.opcode} fin {self.fin} rsv {self.rsv} {len(self.payload)} bytes {self.payload[:40]!r}>"


def head_parts(head):
    """From the first two bytes: (opcode, fin, rsv, masked, short length)."""
    return head[0] & 15, bool(head[0] & 128), head[0] >> 4 & 7, bool(head[1] & 128), head[1] & 127


def frame_of(parts, key, payload):
    opcode, fin, rsv, masked, _ = parts
    return Frame(opcode, mask_bytes(payload, key) if masked and payload else payload, fin, rsv, masked)


def read_frame(client):
    """The next frame from a RawClient."""
    parts = head_parts(client.read_exactly(2))
    length = parts[4]
    if length > 125:
        length = int.from_bytes(client.read_exactly(2 if length == 126 else 8), "big")
    key = client.read_exactly(4) if parts[3] else b""
    return frame_of(parts, key, client.read_exactly(length))


async def read_frame_from(conn):
    """The next frame on a backend's Conn."""
    parts = head_parts(await conn.read_exactly(2))
    length = parts[4]
    if length > 125:
        length = int.from_bytes(await conn.read_exactly(2 if length == 126 else 8), "big")
    key = await conn.read_exactly(4) if parts[3] else b""
    return frame_of(parts, key, await conn.read_exactly(length))


def upgrade_headers(key=KEY, **changes):
    """The fields of an opening handshake; changes: connection=…, version=None (left out), protocol=…"""
    fields = {"upgrade": ("Upgrade", "websocket"), "connection": ("Connection", "Upgrade"),
              "key": ("Sec-WebSocket-Key", key), "version": ("Sec-WebSocket-Version", "13"),
              "protocol": ("Sec-WebSocket-Protocol", None), "extensions": ("Sec-WebSocket-Extensions", None)}
    fields.update({k: (fields[k][0], v) for k, v in changes.items()})
    return [(n, v) for n, v in fields.values() if v is not None]


def upgrade_request(target="/ws", extra=(), **changes):
    return build_request(target, headers=[*upgrade_headers(**changes), *extra])


def upgrade_response(key=KEY, extra=(), **changes):
    fields = {"status": "101 Switching Protocols", "upgrade": "websocket", "connection": "Upgrade",
              "accept": accept_of(key), **changes}
    lines = [f"HTTP/1.1 {fields['status']}"]
    for name, field in (("upgrade", "Upgrade"), ("connection", "Connection"), ("accept", "Sec-WebSocket-Accept")):
        if fields[name] is not None:
            lines.append(f"{field}: {fields[name]}")
    lines += [f"{n}: {v}" for n, v in extra]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def open_websocket(client, target="/ws", early=b"", **changes):
    """The opening handshake on a RawClient; gives the 101."""
    client.send(upgrade_request(target, **changes) + early)
    response = client.read_response()
    assert response.status == 101, response
    assert response.get("sec-websocket-accept") == accept_of(changes.get("key", KEY))
    return response


def websocket_play(script, extra=()):
    """A RawBackend's play: answers the handshake with 101, then runs script(conn)."""
    async def play(conn):
        head = await conn.read_until(b"\r\n\r\n")
        conn.head = head.decode()
        key = next(x.split(":", 1)[1].strip() for x in conn.head.split("\r\n") if x.lower().startswith("sec-websocket-key"))
        await conn.send(upgrade_response(key, extra=extra))
        await script(conn)
    return play


async def echo_frames(conn):
    """Answers Close with Close, ping with pong, and everything else with itself."""
    while True:
        f = await read_frame_from(conn)
        conn.frames = getattr(conn, "frames", [])
        conn.frames.append(f)
        if f.opcode == CLOSE:
            await conn.send(frame(CLOSE, f.payload, mask=False))
            conn.half_close()
            await conn.read_to_end()
            return
        await conn.send(frame(PONG if f.opcode == PING else f.opcode, f.payload, f.fin, mask=False, rsv=f.rsv))
