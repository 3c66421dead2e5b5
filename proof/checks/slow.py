"""Thousands of clients that are slow on purpose. Whether the server has closed a connection is read from the kernel's
table of sockets, so that a client that reads nothing is judged as well."""

import http.client
import json
import pathlib
import resource
import socket
import subprocess
import sys
import time

from ..report import Broken, check, demand, percentile, until
from ..server import ROOT, Server, job

CLIENTS, MOST = 2_000, 15.0
HEAD = b"POST /jobs/add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
# What each sends at first, and then again every second. `reader` and `pipeline` take nothing of their answers.
KINDS = {
    "silent": (b"", b""),
    "head": (HEAD + b"X-Slow: ", b"x"),
    "stalled body": (HEAD + b"\r\n{", b""),
    "dripping body": (HEAD + b"\r\n{", b" "),
    "reader": (b"GET /api/v1/runs/%s/output HTTP/1.1\r\nHost: localhost\r\n\r\n", b""),
    "pipeline": (b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40, b""),
}
ESTABLISHED = "01"


def open_files(most: int) -> None:
    """For this process and those it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    demand(hard >= most, f"the limit of open files is {hard}, {most} are needed: ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def served(port: int) -> set[int]:
    """The ports of clients whose connection the server has not closed: its own ends, from the kernel's table."""
    found = set()
    own = f":{port:04X}"
    with open("/proc/net/tcp") as table:
        for line in table:
            fields = line.split(None, 4)
            if fields[1].endswith(own) and fields[3] == ESTABLISHED:
                found.add(int(fields[2].rsplit(":", 1)[1], 16))
    return found


def be_slow(port: int, run: str, seconds: float) -> list[tuple[str, float]]:
    """Makes all clients, a kind after the other in turn; for each, how long after its beginning the server closed it.
    One that is still served at the end has all of the seconds."""
    clients, ended, order = {}, [], list(KINDS)
    for n in range(CLIENTS):
        kind = order[n % len(order)]
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        first = KINDS[kind][0]
        client.setblocking(False)
        tell(client, first % run.encode() if kind == "reader" else first)
        clients[client.getsockname()[1]] = (client, kind, time.monotonic())
    end, drip = time.monotonic() + seconds, 0.0
    while clients and time.monotonic() < end:
        open_still, now = served(port), time.monotonic()
        for number in [number for number in clients if number not in open_still]:
            client, kind, began = clients.pop(number)
            client.close()
            ended.append((kind, now - began))
        if now >= drip:
            drip = now + 1
            for client, kind, _ in clients.values():
                tell(client, KINDS[kind][1])
        time.sleep(0.2)
    return ended + [(kind, seconds) for _, kind, _ in clients.values()]


def tell(client: socket.socket, text: bytes) -> None:
    try:
        client.send(text) if text else None
    except OSError:
        pass


def healthy(server: Server) -> float:
    """Asks on a new connection, as a monitor does; milliseconds."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise Broken(f"/health failed after {time.monotonic() - began:.2f} s: {error!r}") from None
    finally:
        connection.close()
    demand(status == 200, f"/health answered {status}")
    return (time.monotonic() - began) * 1000


def wave(folder: pathlib.Path, settings: dict[str, str], allowed: dict[str, float]) -> str:
    """All clients against one server. A kind is given the seconds in `allowed`, in which it may go on as it does, and
    is closed at most 15 s later; one without an entry 15 s after it began."""
    folder.mkdir()
    with Server(folder, settings) as server:
        ids = server.add([job("big", "command", "【command】head -c 1000000 /dev/zero | tr '\\0' x")])
        server.bulk("run", ids)
        until(lambda: server.rows("SELECT 1 FROM tj_runs WHERE outcome = 'success'"), 20, "a run has a big output")
        run = f"{server.rows('SELECT id FROM tj_runs')[0][0]:016x}"
        before, peak, most = server.memory(), 0.0, 0
        longest = max(allowed.values()) + MOST + 5
        # Into a file: a pipe that nobody reads yet has no room for two thousand of them.
        with (folder / "ended").open("wb") as told:
            slow = subprocess.Popen([sys.executable, "-B", "-m", __name__, str(server.port), run, str(longest)],
                                    cwd=ROOT, stdout=told, stdin=subprocess.DEVNULL)
        try:
            took = []
            while slow.poll() is None:
                took.append(healthy(server))
                if len(took) % 20 == 0:
                    peak, most = max(peak, server.memory()), max(most, server.descriptors())
                time.sleep(0.02)
        finally:
            slow.kill()
            slow.wait()
        demand(slow.returncode == 0, f"the clients ended with {slow.returncode}")
        ended = json.loads((folder / "ended").read_text())
        demand(len(ended) == CLIENTS, f"{len(ended)} clients have ended")
        told = []
        for kind in KINDS:
            times = [seconds for name, seconds in ended if name == kind]
            limit = allowed.get(kind, 0) + MOST
            late = sum(seconds > limit for seconds in times)
            demand(not late, f"{late} of {len(times)} clients ({kind}) were not closed within {limit:g} s; "
                             f"the last after {max(times):.1f} s")
            told.append(f"{kind} {max(times):.1f}")
        p99 = percentile(took, 0.99)
        demand(p99 <= 50, f"/health of {len(took)} tries: p99 {p99:.1f} ms, worst {max(took):.1f} ms")
        demand(server.panics() == 0, f"{server.panics()} panics")
        time.sleep(1)
        return (f"{CLIENTS:,} clients, {most} descriptors at most, the last of each kind closed after s: "
                f"{', '.join(told)}; {len(took)} times /health, p99 {p99:.1f} ms, worst {max(took):.1f} ms; "
                f"RSS {before:.0f} MiB before, {peak:.0f} at most, {server.memory():.0f} after")


@check("2,000 slow clients (nothing sent, slow head, stalled and dripping body, readers that take nothing), each "
       "closed <= 15 s after the last progress it is allowed (CLIENT_TIMEOUT: 10 s, the whole body 6 times, a reader 3 "
       "times); meanwhile /health never fails, p99 <= 50 ms")
def slow(folder: pathlib.Path) -> str:
    open_files(8192)
    # With room for all of them; then with the default's 1,024 places, and a timeout by which even readers, who have
    # three times as long, are gone within 15 s of their last byte.
    roomy = wave(folder / "roomy", {"MAX_CONNECTIONS": "4096"},
                 {"dripping body": 60, "reader": 30, "pipeline": 30})
    full = wave(folder / "full", {"CLIENT_TIMEOUT": "4"}, {"dripping body": 24})
    return f"with MAX_CONNECTIONS=4096: {roomy}. With CLIENT_TIMEOUT=4 and the default's 1,024 places: {full}"


if __name__ == "__main__":
    open_files(8192)
    print(json.dumps(be_slow(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))))
