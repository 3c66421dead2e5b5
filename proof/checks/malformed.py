"""Bodies that no honest client sends: seeded mutations of real requests, and schemathesis on /openapi.json. Nothing
panics, nothing is our fault by its answer, and the server goes on. No job of theirs can do harm: commands have a user
that does not exist and so never start, requests of jobs may go nowhere, and nobody can be locked out."""

import collections
import http.client
import json
import multiprocessing
import pathlib
import random
import subprocess
import sys
import urllib.parse

from ..report import Broken, check, demand, until
from ..server import ROOT, Server, job

HARMLESS = {
    "AUTH": "off", "IP_CONTROL_ENABLED": "false", "COMMANDS_RUN_AS": "no-such-user", "EGRESS_MODE": "allow-list",
    "FILE_ROOT": "files", "CLEANUP_ROOTS": "/nonexistent/proof", "LOG_LEVEL": "warn",
}
TOTAL, PROCESSES = 100_000, 8
# One try costs a tenth of a second of a core, or runs every job there is: they get a tenth of the others' share.
COSTLY = {"/admin/register", "/api/v1/accounts", "/api/v1/accounts/{id}", "/jobs/runAll", "/jobs/stopAll"}


def real_requests(number: int, run: str) -> dict[tuple[str, str], tuple[str, object]]:
    """Of each route that changes something a request that does so: by method and path of /openapi.json, the path
    to ask and the body."""
    id, ip = {"id": number}, {"ip": "10.9.8.7", "force": True}
    old = {"name": f"old {number}", "desc": "text", "cron_expr": "0 0 29 2 *", "mode": "func", "command": "Echo hello",
           "state": 0, "allow_mode": 1, "max_run_count": 3, "trigger_type": "cron", "interval_seconds": 86400,
           "timezone": "Asia/Shanghai", "misfire_policy": "skip", "misfire_window": 60, "recovery": "never"}
    new = job(f"new {number}", "http", "【url】http://127.0.0.1:9/\n【mode】POST\n【headers】A:b|||C:d\n【data】{\"a\": 1}",
              description="text", max_run_count=3, misfire_policy="fire_all", misfire_window_seconds=60,
              recovery="rerun")
    person = {"username": f"person-{number}", "password": "a good long one", "role": "viewer", "email": "a@example.com"}
    login = {name: person[name] for name in ("username", "password")}
    bodies = {
        "POST /jobs/add": old, "POST /jobs/addAndRun": old | {"remove_task": True, "remove_log": False},
        "POST /jobs/edit": old | id, "POST /jobs/del": id, "POST /jobs/run": id, "POST /jobs/stop": id,
        "POST /jobs/restart": id | {"reset_run_count": True}, "POST /jobs/runAll": None, "POST /jobs/stopAll": None,
        "POST /jobs/logs": id | {"page": 1, "size": 20, "date": "2026-01-31", "outcome": "success", "order": "asc"},
        "POST /jobs/logs/clear": id | {"type": "job", "date": "2026-01-31"},
        "POST /jobs/switchState": {"enabled": True}, "POST /jobs/checkJob": None,
        "POST /jobs/functions/reload": None, "POST /jobs/reload-config": None,
        "POST /jobs/ip-control/whitelist/add": ip, "POST /jobs/ip-control/whitelist/remove": ip,
        "POST /jobs/ip-control/blacklist/add": ip, "POST /jobs/ip-control/blacklist/remove": ip,
        "POST /admin/login": login, "POST /admin/register": person,
        "POST /admin/profile": {"email": "b@example.com", "password": "one", "new_password": "another long one"},
        "POST /admin/status": id | {"status": 0}, "POST /admin/delete": id,
        "POST /api/v1/access/{list}": {"entry": "10.9.8.7", "force": True},
        "DELETE /api/v1/access/{list}/{entry}": None,
        "POST /api/v1/accounts": person, "DELETE /api/v1/accounts/{id}": None,
        "PATCH /api/v1/accounts/{id}": {"password": "another long one", "role": "admin", "enabled": False},
        "POST /api/v1/functions/reload": None, "POST /api/v1/functions/{name}/try": {"args": "[\"hello\", 1]"},
        "POST /api/v1/jobs": new, "POST /api/v1/jobs/bulk": {"action": "stop", "ids": [number]},
        "POST /api/v1/jobs/check": new, "POST /api/v1/jobs/import": {"jobs": [new | {"name": f"file {number}"}]},
        "PATCH /api/v1/jobs/{id}": new, "DELETE /api/v1/jobs/{id}": None, "POST /api/v1/jobs/{id}/run": None,
        "POST /api/v1/jobs/{id}/start": {"reset_run_count": True}, "POST /api/v1/jobs/{id}/stop": None,
        "POST /api/v1/runs/test": new, "POST /api/v1/runs/{id}/again": None, "POST /api/v1/runs/{id}/stop": None,
        "PUT /api/v1/secrets/{name}": {"value": "some secret", "description": "text"},
        "DELETE /api/v1/secrets/{name}": None,
        "POST /api/v1/session": login, "DELETE /api/v1/session": None,
        "POST /api/v1/session/claim": login | {"code": "some-code"},
        "POST /api/v1/session/password": {"password": "a good long one", "new_password": "another long one"},
        "POST /api/v1/system/reconcile": None, "POST /api/v1/system/reload": None,
        "POST /api/v1/tokens": {"name": "token", "role": "viewer", "days": 3}, "DELETE /api/v1/tokens/{id}": None,
    }
    found = {}
    for route, body in bodies.items():
        method, path = route.split(" ")
        own = run if "/runs/" in path else number
        name = "Echo" if "/functions/" in path else "PROOF"
        asked = path.format(id=own, name=name, list="blacklist", entry="10.9.8.7")
        found[method, path] = (asked, body)
    return found


def changing_routes(server: Server) -> set[tuple[str, str]]:
    paths = server.good("GET", "/openapi.json")["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods if method != "get"}


def demand_all_routes(server: Server) -> None:
    missing = changing_routes(server) ^ set(real_requests(1, "0"))
    demand(not missing, f"routes without a real request here, or requests without a route: {sorted(missing)}")


NUMBERS = ["1e308", "1e999", "-1", "-0", "0.1", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
           "18446744073709551616", "1" * 400, "NaN", "Infinity", "0x10", "01"]
TEXTS = ["", " ", "\0", "a\0b", "\u202e", "\ufeff", "𝟏", "９", "é" * 50, "x" * 5000, "%00%ff", "'; --",
         "../../etc/passwd", "【url】", "【name】【arg】", "【command】\0", "【timeout】-1", "【timeout】1e9",
         "【times】99999999999999999999",
         "${secret:PROOF}", "${secret:", "【url】http://[::1", "【env】=|||=", "[1,", "{\"a\":", "\"", "\\",
         "* * * * * *", "@every 99999999999999999999s", "0 0 31 2 *", "L W # ?", "*/0 * * * *", "1-0 * * * *",
         "60 24 32 13 8", "0 0 LW * FRI#5L", "Etc/GMT+99", "Asia/Shanghai\n", "9999-12-31", "-0001-01-01",
         "+262143-01-01", "2026-02-30", "::ffff:0:0/0", "0.0.0.0/0", "fe80::1%eth0", "*", "\"3\""]
TYPES = ["application/json", "application/json; charset=utf-16", "application/x-www-form-urlencoded", "text/plain",
         "multipart/form-data", "multipart/form-data; boundary=b", "multipart/form-data; boundary=\"",
         "application/xml", "application/yaml", "application/merge-patch+json", "a/b; c=\"", "",
         "é".encode().decode("latin-1")]
SEGMENTS = ["0", "-1", "9223372036854775807", "9223372036854775808", "%00", "%ff", "%F0%9F%98%80", "..%2f..",
            "a" * 3000, "%", "*", "null", "0000000000000000", "ffffffffffffffff", "zz", "whitelist", "Cleanup",
            "%E3%80%90"]
YAML = [b"a: &a [*a]", b"jobs: &a [*a, *a]", b"- " * 5000, b"? " * 3000, b"{" * 10_000, b"!!binary x",
        b"jobs: [!!int x]", b"\xff\xfe-\0",
        b"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
        b"d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\njobs: [*d,*d,*d,*d,*d,*d,*d,*d]", b"%YAML 9.9\n---\njobs: 1\n..."]
DAMAGE = [b"\0", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\"", b"}", b"\\u"]


class Mutator:
    def __init__(self, seed: int):
        self.chance = random.Random(seed)

    def value(self, depth: int = 0) -> str:
        """Any JSON, or nearly, as text."""
        pick = self.chance.random()
        if pick < 0.4:
            return json.dumps(self.chance.choice(TEXTS), ensure_ascii=self.chance.random() < 0.5)
        if pick < 0.65:
            return self.chance.choice(NUMBERS)
        if pick < 0.8 or depth > 3:
            return self.chance.choice(["null", "true", "false", "[]", "{}", "\"\\ud800\"", "\"\\u0000\"", "[[]]"])
        if pick < 0.85:
            deep = self.chance.choice([50, 127, 129, 1000, 20_000])
            return self.chance.choice(["[" * deep + "]" * deep, "{\"a\":" * deep + "1" + "}" * deep])
        parts = [self.value(depth + 1) for _ in range(self.chance.randrange(4))]
        return "[" + ",".join(parts) + "]" if pick < 0.93 else \
            "{" + ",".join(f"\"{n}\":{part}" for n, part in enumerate(parts)) + "}"

    def fields(self, body: object) -> list[tuple[str, str]]:
        given = [(name, json.dumps(value)) for name, value in body.items()] if isinstance(body, dict) else []
        for _ in range(self.chance.randrange(4)):
            name = self.chance.choice([name for name, _ in given] + ["id", "trigger", "nothing", "\0"])
            given = [pair for pair in given if pair[0] != name or self.chance.random() < 0.2]
            if self.chance.random() < 0.9:
                given.append((name, self.value()))
        return given

    def damage(self, text: bytes) -> bytes:
        for _ in range(self.chance.choice([1, 1, 2, 10])):
            at = self.chance.randrange(len(text) + 1)
            put = self.chance.choice(DAMAGE)
            text = self.chance.choice([text[:at] + put + text[at:], text[:at] + put + text[at + 1:], text[:at]])
        return text

    def body(self, body: object) -> tuple[str, bytes]:
        """A content type and a body that suits it, or not."""
        given = self.fields(body)
        text = ("{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in given) + "}").encode("utf-8", "replace")
        pick, kind = self.chance.random(), "application/json"
        if pick < 0.3:
            text = self.damage(text)
        elif pick < 0.4:
            kind = "application/x-www-form-urlencoded"
            text = "&".join(f"{name}={urllib.parse.quote(value)[:3000]}" for name, value in given).encode()
            text = self.damage(text) if self.chance.random() < 0.5 else text
        elif pick < 0.5:
            kind = "multipart/form-data; boundary=b"
            parts = "".join(f"--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
                            for name, value in given)
            text = self.damage(f"{parts}--b--\r\n".encode("utf-8", "replace"))
        elif pick < 0.6:
            kind, text = self.chance.choice(TYPES), self.damage(text)
        elif pick < 0.65:
            text = self.value().encode("utf-8", "replace")
        elif pick < 0.7:
            kind, text = "application/yaml", self.chance.choice(YAML)
        elif pick < 0.75:
            text = self.chance.randbytes(self.chance.choice([1, 16, 300, 5000]))
        elif pick < 0.752:
            text = b"[" * self.chance.choice([100_000, (1 << 20) - 1, (1 << 20) + 1])
        return kind, text

    def path(self, path: str, asked: str) -> str:
        if "{" in path and self.chance.random() < 0.2:
            words = [self.chance.choice(SEGMENTS) if "{" in name else word
                     for name, word in zip(path.split("/"), asked.split("/"))]
            asked = "/".join(words)
        if self.chance.random() < 0.1:
            name = self.chance.choice(["id", "force", "dry_run", "name", "page", "nothing"])
            asked += f"?{name}={urllib.parse.quote(self.chance.choice(TEXTS + NUMBERS))}"
        return asked


def ids_of(answer: object) -> tuple[int | None, str | None]:
    """The job and the run that an answer names."""
    said = answer.get("data", answer) if isinstance(answer, dict) else None
    said = said if isinstance(said, dict) else {}
    number, run = said.get("job") or said.get("id"), said.get("exec_id") or said.get("run")
    return number if isinstance(number, int) else None, run if isinstance(run, str) else None


def ask_all(port: int, seed: int, count: int, pipe) -> None:
    """One client on one connection as long as it lasts; tells how many answers of which status there were, and
    those that should not be."""
    mutator, statuses, bad = Mutator(seed), collections.Counter(), []
    chance, number, run = mutator.chance, 1, "0"
    routes = list(real_requests(1, "0"))
    weights = [0.1 if path in COSTLY else 1 for _, path in routes]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while count > 0 and len(bad) < 20:
        count -= 1
        method, path = chance.choices(routes, weights)[0]
        asked, real = real_requests(number, run)[method, path]
        kind, body = mutator.body(real)
        asked = mutator.path(path, asked)
        headers = {"Content-Type": kind, "If-Match": chance.choice(["*", "*", "\"1\"", "x", "\"" + "9" * 30 + "\""]),
                   "Accept-Language": chance.choice(["en", "zh;q=nan", "en;q=1e999", ";;;"])}
        if chance.random() < 0.002:
            headers["Transfer-Encoding"], body = "chunked", b"zz\r\n" + body[:100]
        try:
            connection.request(method, asked, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except TimeoutError:
            bad.append(f"{method} {asked[:100]} {kind} {body[:300]!r}: no answer within 30 s")
            connection.close()
            continue
        except (OSError, http.client.HTTPException):
            # A body over the limit, or no HTTP: the server answers before it has read all, and closes.
            statuses["closed"] += 1
            connection.close()
            continue
        statuses[answer.status] += 1
        media = answer.headers.get("Content-Type", "").split(";")[0]
        said = json.loads(text) if media.endswith(("/json", "+json")) and text else None
        code = said.get("code") if isinstance(said, dict) else None
        if answer.status >= 500 or code == 500:
            bad.append(f"{method} {asked[:100]} {kind} {body[:300]!r}: {answer.status} {text[:300]!r}")
        found = ids_of(said)
        if found[0] and (path.endswith(("/add", "/addAndRun", "/test")) or (method, path) == ("POST", "/api/v1/jobs")):
            number = found[0]
        run = found[1] or run
    pipe.send((statuses, bad))


def demand_well(server: Server) -> None:
    """It is healthy, and still does what it is for."""
    demand(server.panics() == 0, f"{server.panics()} panics: {server.tail()}")
    demand(server.is_healthy(), f"it is not healthy: {server.tail()}")
    name, ids = "after all", server.add([job("after all", "func", "Echo it works")])
    server.bulk("run", ids)
    until(lambda: server.rows("SELECT 1 FROM tj_runs WHERE job_name = ? AND outcome = 'success'", name), 30,
          "a job runs afterwards")
    demand(server.integrity() == "ok", "integrity_check")


@check("100,000 malformed bodies (truncated, mutated, deep, huge, NUL, broken UTF-8, wrong types) over 8 connections "
       "to every route that changes something: 0 panics, 0 answers of 5xx, 0 with code 500, healthy after")
def malformed(folder: pathlib.Path) -> str:
    with Server(folder, HARMLESS) as server:
        demand_all_routes(server)
        before, statuses, bad, clients = server.memory(), collections.Counter(), [], []
        context = multiprocessing.get_context("fork")
        try:
            for seed in range(PROCESSES):
                here, there = context.Pipe(duplex=False)
                client = context.Process(target=ask_all, args=[server.port, seed, TOTAL // PROCESSES, there])
                client.start()
                there.close()
                clients.append((client, here))
            for client, here in clients:
                demand(here.poll(240), f"100,000 requests took more than 240 s: {server.tail()}")
                try:
                    some, wrong = here.recv()
                except EOFError:
                    raise Broken("a client of this check ended early") from None
                statuses += some
                bad += wrong
        finally:
            for client, _ in clients:
                client.kill()
                client.join()
        demand(not bad, f"{len(bad)} answers that are our fault: {bad[:5]}; {server.panics()} panics; {server.tail()}")
        demand(statuses.total() == TOTAL, f"only {statuses.total()} were asked")
        taken = sum(count for status, count in statuses.items() if status != "closed" and status < 300)
        demand(taken >= TOTAL / 10, f"only {taken} got as far as the business: {statuses}")
        demand_well(server)
        told = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items(), key=str))
        return (f"{TOTAL:,} requests to {len(real_requests(1, '0'))} routes ({told}), 0 of 5xx, 0 with code 500, 0 "
                f"panics, {before:.0f} MiB before, {server.memory():.0f} MiB after")


VENV = ROOT / "target/proof/schemathesis"
VERSION = "4.32.5"
# Streams of events do not end by themselves. No route ends or restarts the server, so nothing else is left out.
STREAMS = ["/api/v1/events", "/api/v1/logs/live", "/api/v1/runs/{id}/live"]
# Only tells what was answered; what is right is said below.
HOOKS = """
import os, schemathesis
seen = open(os.environ["PROOF_SEEN"], "a", buffering=1)

@schemathesis.check
def told(ctx, response, case):
    code = None
    media = response.headers.get("content-type", [""])[0].split(";")[0]
    if media.endswith(("/json", "+json")) and response.content:
        said = response.json()
        code = said.get("code") if isinstance(said, dict) else None
    seen.write(f"{response.status_code} {code} {case.method} {case.operation.path} {case.body!r:.300}\\n")
"""


def installed() -> pathlib.Path:
    """schemathesis in an environment of its own, kept for the next time."""
    program = VENV / "bin/schemathesis"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True, capture_output=True)
        done = subprocess.run([VENV / "bin/pip", "install", "-q", f"schemathesis=={VERSION}"], capture_output=True)
        demand(done.returncode == 0, f"schemathesis cannot be installed: {done.stderr[-500:]!r}")
    return program


@check("schemathesis, about 10,000 cases on every operation of /openapi.json but the 3 streams: 0 panics, 0 answers "
       "of 5xx, 0 with code 500, healthy after")
def schemathesis(folder: pathlib.Path) -> str:
    program, seen = installed(), folder / "seen"
    (folder / "hooks.py").write_text(HOOKS)
    with Server(folder, HARMLESS) as server:
        skipped = [word for path in STREAMS for word in ("--exclude-path", path)]
        environment = server.environment() | {"PROOF_SEEN": str(seen), "SCHEMATHESIS_HOOKS": "hooks",
                                              "PYTHONPATH": str(folder)}
        command = [program, "run", f"http://127.0.0.1:{server.port}/openapi.json", *skipped, "--phases", "fuzzing",
                   "--mode", "all", "--checks", "not_a_server_error,told", "--max-examples", "170", "--workers", "4",
                   "--seed", "7", "--request-timeout", "30", "--continue-on-failure", "--no-color"]
        with (folder / "output").open("wb") as output:
            try:
                done = subprocess.run(command, cwd=folder, env=environment, stdout=output, stderr=output, timeout=420)
            except subprocess.TimeoutExpired:
                raise Broken(f"it took more than 420 s for {len(seen.read_text().splitlines())} cases") from None
        said = (folder / "output").read_text(errors="replace")
        answers = [line.split(" ", 4) for line in seen.read_text(errors="replace").splitlines() if line[:3].isdigit()]
        bad = [" ".join(answer) for answer in answers if answer[0] >= "500" or answer[1] == "500"]
        demand(not bad, f"{len(bad)} answers that are our fault: {bad[:5]}; {server.panics()} panics; {server.tail()}")
        demand(done.returncode == 0, f"schemathesis ended with {done.returncode}: {said[-1500:]}")
        demand(len(answers) >= 9_000, f"only {len(answers)} cases: {said[-500:]}")
        demand_well(server)
        operations = {(method, path) for _, _, method, path, *_ in answers}
        statuses = collections.Counter(answer[0] for answer in answers)
        told = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
        return (f"{len(answers):,} cases on {len(operations)} operations ({told}), 0 of 5xx, 0 with code 500, 0 "
                f"panics, {server.memory():.0f} MiB after; left out: {', '.join(STREAMS)}")
