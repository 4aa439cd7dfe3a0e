"""A DNS server for names that tests make up: over UDP, and over TCP where an answer is too large for that."""
import socket
import struct
import threading

from kit.kernel import free_port

A, AAAA, SRV = 1, 28, 33
TYPES = {"a": A, "aaaa": AAAA, "srv": SRV}


def encode_name(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.rstrip(".").split(".") if part) + b"\0"


def rdata(kind, value):
    if isinstance(value, bytes):
        return value  # a lie, as it stands
    if kind == A:
        return socket.inet_aton(value)
    if kind == AAAA:
        return socket.inet_pton(socket.AF_INET6, value)
    priority, weight, port, target = value
    return struct.pack(">HHH", priority, weight, port) + encode_name(target)


class DnsServer:
    """records: {(name, "a" | "aaaa" | "srv"): values}; a value may be bytes (raw RDATA), and values may be "servfail",
    "silent", "garbage" or "nothing" (no error, no answer).  What is not there does not exist (NXDOMAIN)."""

    def __init__(self):
        self.records, self.ttl, self.questions = {}, 1, []
        self.udp, self.tcp, self.port = self.bound()
        self.tcp.listen(16)
        self.address = f"127.0.0.1:{self.port}"
        self.tcp_answers = 0
        for target in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=target, daemon=True).start()

    @staticmethod
    def bound():
        """Both on one port, which may be somebody else's on the other side."""
        while True:
            udp, tcp, port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(), free_port()
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                udp.bind(("127.0.0.1", port))
                tcp.bind(("127.0.0.1", port))
                return udp, tcp, port
            except OSError:
                udp.close()
                tcp.close()

    def answer(self, query):
        (number,), at, labels = struct.unpack(">H", query[:2]), 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        (kind,) = struct.unpack(">H", query[at + 1:at + 3])
        question, name = query[12:at + 5], ".".join(labels).lower()
        word = next((w for w, k in TYPES.items() if k == kind), str(kind))
        self.questions.append((name, word))
        values = self.records.get((name, word))
        if values == "silent":
            return None
        if values == "garbage":
            return query[:2] + b"\x81\x80\x00\x01\xff\xff\x00\x00\x00\x00" + question + b"\xc0\xff" * 20
        rcode = {None: 3, "servfail": 2}.get(values if not isinstance(values, list) else "", 0)
        values = values if isinstance(values, list) else []
        out = query[:2] + struct.pack(">HHHHH", 0x8180 | rcode, 1, len(values), 0, 0) + question
        for value in values:
            data = rdata(kind, value)
            out += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, self.ttl, len(data)) + data
        return out

    def serve_udp(self):
        while True:
            try:
                query, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            out = self.answer(query)
            if out is not None and len(out) > 512:  # truncated: ask over TCP
                end = 12 + out[12:].index(b"\0") + 5
                out = out[:2] + b"\x83\x80\x00\x01\x00\x00\x00\x00\x00\x00" + out[12:end]
            if out is not None:
                self.udp.sendto(out, peer)

    def serve_tcp(self):
        while True:
            try:
                conn, _ = self.tcp.accept()
            except OSError:
                return
            with conn:
                try:
                    while length := conn.recv(2, socket.MSG_WAITALL):
                        out = self.answer(conn.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL))
                        self.tcp_answers += 1
                        conn.sendall(struct.pack(">H", len(out)) + out)
                except OSError:
                    pass

    def close(self):
        self.udp.close()
        self.tcp.shutdown(socket.SHUT_RDWR)
        self.tcp.close()
