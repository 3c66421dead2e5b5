"""Requests that must change nothing: from addresses that are not let in and say they are others, for names that are
not ours, and from web pages of other sites in a real Chromium. Without an account, so nothing but these rules stands
between them and every right there is."""

import http.client
import http.server
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse

from ..report import Broken, check, demand, until
from ..server import Server, job, processes
from .malformed import demand_all_routes, real_requests

STRANGER, PROXY = "127.0.0.2", "127.0.0.3"
CLAIMS = ["127.0.0.1", "::1", "localhost", "127.0.0.1:80", "[::1]:80", "::ffff:127.0.0.1", "127.0.0.1, 127.0.0.1",
          "127.0.0.1,127.0.0.3", "unknown", ""]
# From a stranger's address: nothing that it says makes it another.
FORGED = [{name: claim} for name in ("X-Forwarded-For", "X-Real-IP") for claim in CLAIMS] + [
    {"Forwarded": "for=127.0.0.1"}, {"Forwarded": "for=\"[::1]:80\";proto=https;by=127.0.0.3"},
    {"X-Client-IP": "127.0.0.1"}, {"True-Client-IP": "127.0.0.1"}, {"CF-Connecting-IP": "127.0.0.1"},
    {"X-Forwarded-Host": "localhost"}, {"X-Original-URL": "/health"}, {"X-HTTP-Method-Override": "GET"},
    {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1", "Via": "1.1 localhost"},
]
# Through the trusted proxy, which puts the stranger's address behind what the stranger said.
PROXIED = [{"X-Forwarded-For": f"{claim}, {STRANGER}"} for claim in CLAIMS] + [{"X-Forwarded-For": STRANGER}]
# From this machine, which is let in: through a proxy that nobody has announced, and as browsers send it.
RELAYED = [{"X-Forwarded-For": "127.0.0.1"}, {"X-Real-IP": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"},
           {"Via": "1.1 a"}]
FOREIGN = [{"Origin": origin} for origin in
           ("null", "http://evil.example", "http://localhost", "http://127.0.0.1", "http://127.0.0.1.evil.example",
            "http://127.0.0.1:{port}@evil.example", "file://", "")]
FOREIGN += [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}]
HOSTS = ["evil.example", "evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1.x.io",
         "localhost:{port}@evil.example", "[::1]evil.example", "localhost, evil.example", "0x7f000001", "2130706433",
         ""]


class Attacker:
    """Asks in every way for every change, and counts what is not refused before it is read."""

    def __init__(self, server: Server, requests: list[tuple[str, str, object]]):
        self.server, self.requests, self.asked, self.taken = server, requests, 0, []

    def send(self, source: str, headers: dict[str, str], host: str | None = "127.0.0.1:{port}") -> None:
        port = self.server.port
        for method, path, body in self.requests:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(source, 0))
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            sent = json.dumps(body).encode() if body is not None else b""
            own = {"Host": host, "Content-Type": "application/json", "Content-Length": str(len(sent))}
            for name, value in (own | headers).items():
                connection.putheader(name, value.replace("{port}", str(port)))
            connection.endheaders(sent)
            status = connection.getresponse().status
            connection.close()
            self.asked += 1
            if status not in (400, 403):
                self.taken.append(f"{method} {path} from {source} for {host} with {headers}: {status}")


PAGE = """<!doctype html><meta charset=utf-8><body><script>
const {name, target, home, changing, reading} = %s;
const wait = ms => new Promise(done => setTimeout(done, ms));
let made = 0;
function shown(kind, fill) {
  const element = document.createElement(kind), ended = new Promise(done => element.onload = element.onerror = done);
  fill(element);
  document.body.append(element);
  return Promise.race([ended, wait(1500)]).then(() => element.remove());
}
function form(method, enctype, url, fields) {
  const form = document.createElement('form'), frame = 'frame' + Math.random();
  Object.assign(form, {method, enctype, action: url, target: frame});
  for (const [name, value] of fields) {
    const input = document.createElement('input');
    Object.assign(input, {type: 'hidden', name, value});
    form.append(input);
  }
  document.body.append(form);
  const opened = shown('iframe', element => { element.name = frame; setTimeout(() => form.submit()); });
  return opened.then(() => form.remove());
}
const get = url => [
  () => shown('img', element => element.src = url), () => shown('script', element => element.src = url),
  () => shown('iframe', element => element.src = url),
  () => shown('link', element => Object.assign(element, {rel: 'stylesheet', href: url})),
];
const ask = (url, how) => () =>
  fetch(url, {credentials: 'include', signal: AbortSignal.timeout(3000), ...how});
const attempts = [];
for (const {method, path, body} of changing) {
  const url = target + path, text = JSON.stringify(body ?? {}), json = {'Content-Type': 'application/json'};
  const plain = value => typeof value == 'object' ? JSON.stringify(value) : value;
  const fields = Object.entries(body ?? {}).map(([key, value]) => [key, plain(value)]);
  const query = url + '?' + new URLSearchParams(fields);
  attempts.push(ask(url, {method, body: text, headers: json}), ask(query, {method}), ...get(query));
  if (method != 'POST') continue;
  const data = new FormData();
  for (const [key, value] of fields) data.append(key, value);
  for (const mode of ['no-cors', 'cors'])
    for (const body of [text, new URLSearchParams(fields), data, new Blob([text])])
      attempts.push(ask(url, {method, mode, body}));
  attempts.push(ask(url, {method, mode: 'no-cors', body: text, headers: json}), ask(query, {method, mode: 'no-cors'}));
  for (const type of ['text/plain', 'application/x-www-form-urlencoded'])
    attempts.push(async () => navigator.sendBeacon(url, new Blob([text], {type})));
  for (const kind of ['application/x-www-form-urlencoded', 'multipart/form-data'])
    attempts.push(() => form('post', kind, url, fields));
  const halves = [text.slice(0, -1) + (text == '{}' ? '' : ',') + '"pad":"', '"}'];
  attempts.push(() => form('post', 'text/plain', url, [halves]));
  attempts.push(() => form('get', '', url, fields));
}
for (const path of reading) attempts.push(...get(target + path), ask(target + path, {mode: 'no-cors'}));
const all = attempts.length;
async function work() {
  for (let attempt; attempt = attempts.shift(); made++) await attempt().catch(() => {});
}
const report = () => new Image().src = `${home}/report?name=${name}&made=${made}&all=${all}`;
Promise.all(Array.from({length: 12}, work)).then(report);
</script>"""
SANDBOX = "<!doctype html><iframe sandbox='allow-scripts allow-forms' src='/page?name=sandboxed'></iframe>"


class Site(http.server.ThreadingHTTPServer):
    """Another site on this machine. Under the name evil.example it shows its page and then is the server under
    attack, as a name is that is bound to another address while its page is open."""

    daemon_threads = True

    def __init__(self, server: Server, changing: list[dict], reading: list[str]):
        super().__init__(("127.0.0.1", 0), Visit)
        self.victim, self.changing, self.reading = server.port, changing, reading
        self.reports: dict[str, dict[str, str]] = {}
        self.forwarded = 0
        self._thread = threading.Thread(target=self.serve_forever)
        self._thread.start()

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, *_):
        """A browser that goes away is no news."""

    def page(self, name: str) -> str:
        rebound = name == "rebound"
        said = {"name": name, "target": "" if rebound else f"http://127.0.0.1:{self.victim}",
                "home": f"http://127.0.0.1:{self.server_port}", "changing": self.changing, "reading": self.reading}
        return PAGE % json.dumps(said).replace("</", "<\\/")


class Visit(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def respond(self, status: int, kind: str, text: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def visit(self) -> None:
        path, _, query = self.path.partition("?")
        asked = dict(urllib.parse.parse_qsl(query))
        if path == "/page":
            self.respond(200, "text/html", self.server.page(asked["name"]).encode())
        elif path == "/sandbox":
            self.respond(200, "text/html", SANDBOX.encode())
        elif path == "/report":
            self.server.reports[asked["name"]] = asked
            self.respond(200, "text/plain", b"")
        elif self.headers["Host"].startswith("evil.example"):
            self.forward()
        else:
            self.respond(404, "text/plain", b"")

    def forward(self) -> None:
        """Every header as it came, Host above all."""
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        connection = http.client.HTTPConnection("127.0.0.1", self.server.victim, timeout=5)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        self.server.forwarded += 1
        self.respond(answer.status, answer.headers.get("Content-Type", "text/plain"), answer.read())
        connection.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = visit


def browse(folder: pathlib.Path, site: Site, name: str, url: str) -> int:
    """Opens the page until it has reported; how many attempts it made."""
    profile = folder / f"profile-{name}"
    browser = subprocess.Popen(
        ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
         "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}",
         "--host-resolver-rules=MAP evil.example 127.0.0.1", url], env=os.environ | {"PROOF_PROFILE": str(profile)},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        report = until(lambda: site.reports.get(name), 60, f"the page {url} reports that it has run")
    finally:
        until(lambda: not ended(str(profile)), 10, "Chromium is gone")
        browser.wait()
    made = int(report["made"])
    demand(made == int(report["all"]), f"{name}: only {made} of {report['all']} attempts were made")
    return made


def ended(mark: str) -> list[int]:
    """Ends what bears the mark; those that it found."""
    found = processes(mark)
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return found


TABLES = ("tj_jobs", "tj_job_state", "tj_runs", "tj_run_counts", "tj_settings", "tj_admins", "tj_tokens", "tj_secrets",
          "tj_audit")


def state(server: Server) -> dict[str, object]:
    """All that a request could change, from the database and, of what is in memory alone, by asking."""
    tables = {table: sorted(map(repr, server.rows(f"SELECT * FROM {table}"))) for table in TABLES}
    asked = ("/jobs/config", "/jobs/switchState", "/jobs/ip-control/status")
    return tables | {path: server.good("GET", path)["data"] for path in asked}


def demand_same(before: dict[str, object], server: Server, what: str, taken: list[str] = ()) -> None:
    now = state(server)
    changed = [name for name in before if before[name] != now[name]]
    demand(not changed, f"{what} changed {changed}: " + "; ".join(
        str([row for row in now[name] if row not in before[name]])[:500] for name in changed))
    demand(not taken, f"{what}: {len(taken)} were not refused: {list(taken[:5])}")


@check("forged X-Forwarded-For, X-Real-IP and Forwarded from an address that is not let in, foreign Hosts and Origins, "
       "and pages of other sites in Chromium (forms, fetch, beacons, images, scripts, frames, a rebound name), for "
       "each route: 0 changes in the database and the settings, every attempt made")
def forged(folder: pathlib.Path) -> str:
    if not shutil.which("chromium"):
        raise Broken("chromium is missing: apt-get install chromium")
    with Server(folder, {"HOST": "0.0.0.0", "TRUSTED_PROXIES": PROXY}) as server:
        demand_all_routes(server)
        # Something of each kind to lose.
        number, other = server.add([job("kept", "func", "Echo kept"), job("other", "func", "Echo other")])
        server.bulk("run", [number])
        until(lambda: server.rows("SELECT 1 FROM tj_runs WHERE outcome = 'success'"), 10, "a run to lose")
        server.good("POST", "/api/v1/access/blacklist", {"entry": "10.9.8.7"})
        server.good("PUT", "/api/v1/secrets/PROOF", {"value": "kept secret"})
        run = f"{server.rows('SELECT id FROM tj_runs')[0][0]:016x}"
        real = real_requests(number, run)
        requests = [(method, *request) for (method, _), request in real.items() if request[0] != "/jobs/logs"]
        time.sleep(1.5)
        before = state(server)

        attacker = Attacker(server, requests)
        for headers in FORGED + [{}]:
            attacker.send(STRANGER, headers)
        for headers in PROXIED:
            attacker.send(PROXY, headers)
        demand_same(before, server, "a forged address", attacker.taken)
        for headers in RELAYED + FOREIGN:
            attacker.send("127.0.0.1", headers)
        for host in HOSTS:
            attacker.send("127.0.0.1", {}, host)
            attacker.send("127.0.0.1", {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}, host)
        demand_same(before, server, "a forged Host or Origin", attacker.taken)

        changing = [{"method": method, "path": path, "body": body} for method, path, body in requests]
        paths = server.good("GET", "/openapi.json")["paths"]
        reading = [path.format(id=run if "/runs/" in path else number, name="Echo")
                   for path, methods in paths.items() if "get" in methods]
        made, refused = {}, server.words().count("refused: ")
        with Site(server, changing, reading) as site:
            for name, url in {"cross-site": "http://localhost:{}/page?name=cross-site",
                              "same-site": "http://127.0.0.1:{}/page?name=same-site",
                              "sandboxed": "http://127.0.0.1:{}/sandbox",
                              "rebound": "http://evil.example:{}/page?name=rebound"}.items():
                made[name] = browse(folder, site, name, url.format(site.server_port))
                demand_same(before, server, f"the page {name}")
            forwarded = site.forwarded
        refused = server.words().count("refused: ") - refused
        demand(min(made.values()) >= 10 * len(requests), f"the pages made few attempts: {made}")
        # A form, a fetch and the like for each route at least have come as far as the server.
        demand(refused >= 4 * 10 * len(requests), f"only {refused} requests of the pages came to be refused")
        demand(forwarded >= 10 * len(requests), f"only {forwarded} requests came by the rebound name")

        # The same requests do change something for whoever is let in: so there was something to refuse. What deletes
        # comes late, and accounts last, as from the first one on everybody must log in.
        for method, path, body in sorted(requests, key=lambda one: (
                "register" in one[1] or "accounts" in one[1], one[0] == "DELETE" or "/del" in one[1])):
            server.ask(method, path, body, headers={"If-Match": "*"})
        audited = {act for act, in server.rows("SELECT DISTINCT act FROM tj_audit")}
        demand(len(audited) >= 15, f"for the owner too, the requests do no more than {sorted(audited)}")
        told = ", ".join(f"{name} {count}" for name, count in made.items())
        return (f"{len(requests)} changes tried by {attacker.asked:,} forged requests, all refused, and by pages in "
                f"Chromium ({told} attempts, {refused:,} refused by the server); 0 changes; the same requests of the "
                f"owner did {len(audited)} kinds of things")
