"""What the kernel says: listening sockets, connections by port, descriptors, memory, CPU time of a process."""
import os
import random
import socket

ESTABLISHED, TIME_WAIT, LISTEN = "01", "06", "0A"
PORTS = range(20000, 32000)  # below the kernel's own range: no outgoing connection takes one meanwhile
SHARE = os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]  # each of several testing processes has ports of its own
if os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    PORTS = PORTS[int(SHARE)::int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]
_given = set()


def free_port():
    """A loopback port that nobody listens on, each only once in a run."""
    while True:
        port = random.choice(PORTS)
        if port in _given:
            continue
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


def tcp_sockets():
    """(local port, remote port, state) of every TCP socket."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as f:
                rows = f.readlines()[1:]
        except FileNotFoundError:
            continue
        for row in rows:
            _, local, remote, state = row.split()[:4]
            yield int(local.rpartition(":")[2], 16), int(remote.rpartition(":")[2], 16), state


def is_listening(address):
    """Is there a listener, seen without connecting to it?  A port, or the path of a UNIX socket."""
    if isinstance(address, int):
        return any(local == address and state == LISTEN for local, _, state in tcp_sockets())
    with open("/proc/net/unix") as f:
        return any(row.split()[-1] == address and row.split()[3] == "00010000" for row in f.readlines()[1:])


def open_connections(port):
    """Ends of connections from or to the port that are still held by a process or not yet over."""
    return sum(1 for local, remote, state in tcp_sockets()
               if port in (local, remote) and state not in (TIME_WAIT, LISTEN))


def fd_count(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory_kib(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    raise AssertionError(f"no {field} of {pid}")


def reset_peak_memory(pid):
    """From now on VmHWM counts anew (proc(5), clear_refs)."""
    with open(f"/proc/{pid}/clear_refs", "w") as f:
        f.write("5")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
