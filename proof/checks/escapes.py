"""What lies outside the folders that jobs may use stays outside: names with `..`, absolute paths, symlinks, and a
folder that is swapped for a symlink, and back, as fast as the kernel can, while jobs go through it."""

import ctypes
import errno
import multiprocessing
import os
import pathlib
import shutil
import sqlite3
import subprocess
import time
import urllib.parse
import uuid

from ..report import Broken, check, demand, until
from ..server import Server, job

RACE_SECONDS = 35
MONTH = 30 * 86_400
AT_FDCWD, RENAME_EXCHANGE = -100, 2


class Outside:
    """Files that nobody may read, change or delete. Neither their marks nor the name of one of them stands in any
    request, so wherever a mark is found, it came out of here."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder / "outside"
        self.mark, self.name = (f"mark{uuid.uuid4().hex}" for _ in range(2))
        (self.folder / "sub").mkdir(parents=True)
        for file in ("secret.txt", f"{self.name}.txt", "sub/secret.txt", "2020-01-01"):
            (self.folder / file).write_text(f"{self.mark}\n" * 50)
        database(self.folder / "data.db", self.mark)
        for file in self.folder.rglob("*"):
            # As old as what Cleanup takes away.
            os.utime(file, (time.time() - MONTH,) * 2)
        self.before = self.state()

    def state(self) -> dict[str, tuple]:
        return {str(file.relative_to(self.folder)): (file.lstat().st_ino, file.lstat().st_mtime_ns,
                                                     file.read_bytes() if file.is_file() else b"")
                for file in self.folder.rglob("*")}

    def demand_untouched(self, what: str) -> None:
        now = self.state()
        changed = [name for name in self.before if self.before[name] != now.get(name)]
        demand(not changed, f"{what}: {len(changed)} files outside were changed or deleted: {changed}")
        added = set(now) - set(self.before)
        demand(not added, f"{what}: files were made outside: {sorted(added)}")

    def leaks(self, text: bytes) -> bool:
        return self.mark.encode() in text or self.name.encode() in text


def database(file: pathlib.Path, text: str) -> None:
    with sqlite3.connect(file) as opened:
        opened.execute("CREATE TABLE t (text)")
        opened.executemany("INSERT INTO t VALUES (?)", [(text,)] * 50)
    opened.close()


class Swapped:
    """Two names that change places all the time: what is inside, and a symlink that leads outside."""

    def __init__(self, *pairs: tuple[pathlib.Path, pathlib.Path]):
        context = multiprocessing.get_context("fork")
        self._count = context.Value(ctypes.c_uint64, 0, lock=False)
        self._process = context.Process(target=self._swap, args=[pairs])

    def _swap(self, pairs) -> None:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
        names = [tuple(os.fsencode(name) for name in pair) for pair in pairs]
        parent = os.getppid()
        while os.getppid() == parent:
            for one, other in names:
                if rename(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) == 0:
                    self._count.value += 1
                elif ctypes.get_errno() != errno.ENOENT:
                    raise OSError(ctypes.get_errno(), "renameat2")

    def __enter__(self):
        self._process.start()
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.join()

    @property
    def times(self) -> int:
        demand(self._process.is_alive(), "the swapping ended early")
        return self._count.value


class Records:
    """Runs jobs, and looks through each record that they leave."""

    def __init__(self, server: Server, outside: Outside):
        self.server, self.outside, self.last, self.runs, self.done = server, outside, 0, 0, 0

    def look(self, what: str) -> None:
        for run, name, outcome, *texts in self.server.rows(
                "SELECT id, job_name, outcome, stdout, stderr, result, func_result, error, http_resp, func_args "
                "FROM tj_runs WHERE id > ? ORDER BY id", self.last):
            self.last, self.runs, self.done = run, self.runs + 1, self.done + (outcome == "success")
            leak = next((text for text in texts if text and self.outside.leaks(text.encode())), None)
            demand(leak is None, f"{what}: the record of {name} holds what is outside: {str(leak)[:300]}")

    def settle(self) -> None:
        until(lambda: not self.server.rows("SELECT 1 FROM tj_runs WHERE outcome IN ('waiting', 'running') LIMIT 1"), 60,
              "runs end", 0.01)

    def race(self, what: str, swapped: Swapped, commands: list[str], seconds: float, again=lambda: None) -> str:
        """Runs the jobs over and over while names are swapped, and looks each time at what came of it."""
        ids = self.server.add([job(f"{what} {n}", "func", command) for n, command in enumerate(commands)])
        runs, done, end = self.runs, self.done, time.monotonic() + seconds
        with swapped:
            while time.monotonic() < end:
                again()
                self.server.bulk("run", ids)
                self.settle()
                self.look(what)
                self.outside.demand_untouched(what)
            times = swapped.times
        runs, done = self.runs - runs, self.done - done
        demand(times >= 10_000 and runs >= 200, f"{what}: {times} swaps and {runs} runs are no race")
        return f"{what} {runs:,} runs ({done:,} succeeded) during {times:,} swaps"


def ways_out(root: pathlib.Path, outside: pathlib.Path) -> list[str]:
    """Paths that lead to the secret, or would."""
    up = [f"../outside/{name}" for name in ("secret.txt", "sub/secret.txt", "", "new.txt")]
    return up + [f"sub/../{path}" for path in up] + [f"./{path}" for path in up] + [
        f"{outside}/secret.txt", f"{root}/../outside/secret.txt", f"/{outside}/secret.txt", f"//{outside}/secret.txt",
        f"/proc/self/root{outside}/secret.txt", "/proc/self/cwd/outside/secret.txt", "/etc/passwd", "/dev/stdin",
        "folder-link/secret.txt", "folder-link/sub/secret.txt", "folder-link", "folder-link/new.txt", "file-link",
        "sub/up-link/outside/secret.txt", "chain-link/secret.txt", "sub/../folder-link/secret.txt",
        f"root-link{outside}/secret.txt", "..\\outside\\secret.txt", "%2e%2e/outside/secret.txt",
        "．．/outside/secret.txt", "sub//..//..//outside//secret.txt", "~/outside/secret.txt",
        "$PWD/../outside/secret.txt", "..", "sub/..", "../", "folder-link/../outside/secret.txt",
    ]


def try_file(records: Records, root: pathlib.Path, outside: Outside) -> int:
    links = {"folder-link": outside.folder, "file-link": outside.folder / "secret.txt", "chain-link": "folder-link",
             "sub/up-link": "../..", "root-link": "/"}
    (root / "sub").mkdir(parents=True)
    for name, target in links.items():
        (root / name).symlink_to(target)
    (root / "plain.txt").write_text("inside")
    paths = ways_out(root, outside.folder)
    operations = ("read", "write", "append", "delete", "list")
    commands = [f"File {operation},{path},changed" for path in paths for operation in operations]
    ids = records.server.add([job(f"way {n}", "func", command) for n, command in enumerate(commands)])
    (good,) = records.server.add([job("plain", "func", "File read,plain.txt")])
    # Deletes of what is inside, such as a link itself, must not open the way for the next: read first.
    records.server.bulk("run", [good])
    for n in range(len(operations)):
        records.server.bulk("run", ids[n::len(operations)])
        records.settle()
    records.look("File")
    outside.demand_untouched("File")
    found = records.server.rows("SELECT stdout FROM tj_runs WHERE job_id = ?", good)
    demand(found == [("inside",)], f"File does not read what it may: {found}")
    return len(commands)


def try_dates(records: Records, outside: Outside) -> int:
    """Days, ids and names of the API, as they are and escaped once and twice."""
    server, secret = records.server, outside.folder / "2020-01-01"
    names = [f"{up}{secret}" for up in ("", "/", "../" * 12, "x/" + "../" * 12, "..%2f" * 12)] + [
        "../../outside/2020-01-01", "../outside/secret.txt", "2020-01-01/../../../outside/secret.txt",
        "2020-01-01\0/..", "..", ".", "*", "2020-01-0?", "2020-01-01 ", "../data/timerjobs.db", "/etc/passwd",
        f"file://{secret}"]
    texts = {text for name in names for text in (
        name, urllib.parse.quote(name, safe=""), urllib.parse.quote(urllib.parse.quote(name, safe=""), safe=""),
        name.replace("..", "%2e%2e").replace("/", "%5c"))}
    texts = [text.replace("\0", "%00").replace(" ", "%20").replace("*", "%2a") for text in texts]
    queries = ["/jobs/logs/download?date=", "/jobs/logs/download?id=1&date=", "/jobs/zapLogs?date=",
               "/jobs/zapLogs?n=9&date=", "/jobs/zapLogs/download?date=", "/jobs/runs?date=", "/jobs/execs?exec_id=",
               "/jobs/execs/download?exec_id=", "/api/v1/logs?day=", "/api/v1/logs?cursor=", "/api/v1/runs?cursor=",
               "/api/v1/audit/export?from=",
               "/api/v1/jobs/export?format=", "/api/v1/runs/", "/api/v1/functions/", "/docs/", "/assets/", "/",
               "/swagger/"]
    asked = 0
    for path in [query + text for query in queries for text in texts]:
        status, answer = server.ask("GET", path)
        demand(not outside.leaks(str(answer).encode()), f"GET {path} answers {status} with what is outside")
        asked += 1
    for name in [urllib.parse.unquote(text) for text in texts]:
        for path, body in (("/jobs/logs/clear", {"type": "zap", "date": name}), ("/jobs/logs", {"id": 1, "date": name}),
                           ("/jobs/logs/clear", {"type": "job", "date": name}),
                           ("/api/v1/functions/File/try", {"args": f"read,{name}"})):
            status, answer = server.ask("POST", path, body)
            demand(not outside.leaks(str(answer).encode()), f"POST {path} {name} answers {status} with what is outside")
            asked += 1
    records.settle()
    records.look("a name in the API")
    outside.demand_untouched("a name in the API")
    status, answer = server.ask("GET", "/jobs/zapLogs/download")
    demand(status == 200 and answer, "the system log of today cannot be read")
    return asked


def race_file(records: Records, root: pathlib.Path, outside: Outside) -> str:
    for folder in ("swap", "deep/swap/sub"):
        (root / folder).mkdir(parents=True)
    (root / "swap.other").symlink_to(outside.folder)
    (root / "deep/swap.other").symlink_to(outside.folder)
    (root / "leaf.txt").write_text("inside")
    (root / "leaf.other").symlink_to(outside.folder / "secret.txt")
    swapped = Swapped((root / "swap", root / "swap.other"), (root / "deep/swap", root / "deep/swap.other"),
                      (root / "leaf.txt", root / "leaf.other"))
    paths = ["swap/secret.txt", "swap/sub/secret.txt", "deep/swap/sub/secret.txt", "leaf.txt",
             f"{root}/swap/secret.txt"]
    commands = [f"File {operation},{path},changed" for path in paths
                for operation in ("read", "append", "write", "read", "delete", "write", "list", "exists")]
    commands += ["File list,swap", "File list,deep/swap/sub"]
    pair, new = (root / "leaf.txt", root / "leaf.other"), root / "leaf.new"

    def again() -> None:
        # What is deleted or replaced comes back, so that one of the two is always a link.
        links = sum(name.is_symlink() for name in pair)
        if links == 0:
            new.symlink_to(outside.folder / "secret.txt")
            new.replace(pair[1])
        if links == 2 or not all(os.path.lexists(name) for name in pair):
            new.write_text("inside")
            new.replace(pair[0])

    return records.race("File", swapped, commands, RACE_SECONDS, again)


def race_cleanup(records: Records, root: pathlib.Path, outside: Outside) -> str:
    (root / "swap/sub").mkdir(parents=True)
    (root / "swap.other").symlink_to(outside.folder)
    (root / "new.txt").write_text("inside")
    # Opened once, so that these are files inside wherever the names lead by now.
    folders = [os.open(root / path, os.O_DIRECTORY) for path in ("swap", "swap/sub")]
    removed = 0

    def again() -> None:
        nonlocal removed
        for folder in folders:
            there = set(os.listdir(folder))
            for name in {f"secret{n}.txt" for n in range(20)} - there:
                removed += 1
                os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=folder))
                os.utime(name, (time.time() - MONTH,) * 2, dir_fd=folder)

    try:
        swapped = Swapped((root / "swap", root / "swap.other"))
        told = records.race("Cleanup", swapped, [f"Cleanup {root}{path},7" for path in ("", "/swap", "/swap/sub")] * 4,
                            RACE_SECONDS, again)
    finally:
        for folder in folders:
            os.close(folder)
    demand(removed > 1_000, f"Cleanup has removed only {removed} files of those it should")
    demand((root / "new.txt").exists(), "Cleanup has removed a new file")
    return f"{told} and {removed:,} files removed that were to be"


def look_into(archives: pathlib.Path, outside: Outside) -> tuple[int, int]:
    """Unpacks every archive and looks through it: how many, and how many held what is inside."""
    files = [file for file in archives.iterdir() if file.suffix == ".zst"]
    inside = 0
    for file in files:
        text = subprocess.run(["zstd", "-dcq", file], capture_output=True, check=True).stdout
        demand(not outside.leaks(text), f"the archive {file} holds what is outside")
        inside += b"this is inside" in text
        if file.name.endswith(".tar.zst"):
            names = subprocess.run(["tar", "-tPf", "-"], input=text, capture_output=True, check=True).stdout.decode()
            bad = [name for name in names.splitlines() if name.startswith("/") or ".." in name.split("/")]
            demand(not bad, f"the archive {file} has names that lead out of it: {bad[:5]}")
        file.unlink()
    return len(files), inside


def race_backup(records: Records, root: pathlib.Path, outside: Outside) -> str:
    archives = root.parent / "archives"
    (root / "swap/sub").mkdir(parents=True)
    for file in ("a.txt", "swap/secret.txt", "swap/sub/secret.txt", "swap/2020-01-01", "leaf.txt"):
        (root / file).write_text("this is inside\n" * 50)
    for name in ("data.db", "swap/data.db"):
        database(root / name, "this is inside")
    for name, target in {"swap.other": outside.folder, "leaf.other": outside.folder / "secret.txt",
                         "data.other": outside.folder / "data.db"}.items():
        (root / name).symlink_to(target)
    # First at rest: links are packed as links.
    (once,) = records.server.add([job("backup at rest", "func", f"Backup {root},{archives}")])
    records.server.bulk("run", [once])
    records.settle()
    demand(look_into(archives, outside) == (1, 1), "a backup at rest made no good archive")

    looked = [0, 0]

    def again() -> None:
        for n, count in enumerate(look_into(archives, outside)):
            looked[n] += count

    pairs = [(root / "swap", root / "swap.other"), (root / "leaf.txt", root / "leaf.other"),
             (root / "data.db", root / "data.other")]
    told = records.race("Backup", Swapped(*pairs), [f"Backup {root},{archives}"] * 8, RACE_SECONDS, again)
    again()
    demand(looked[1] >= 50, f"only {looked[1]} archives hold what they should")
    return f"{told} and {looked[0]:,} archives unpacked"


def demand_no_copy(folder: pathlib.Path, outside: Outside) -> int:
    """No file that the server or a job has written holds a mark; how many there are."""
    files = [file for file in folder.rglob("*") if outside.folder not in file.parents and not file.is_symlink()
             and file.is_file()]
    for file in files:
        demand(not outside.leaks(file.read_bytes()), f"{file} holds what is outside")
    return len(files)


@check("`..`, absolute paths, symlinks, and folders and files swapped for symlinks in a tight loop, in File, Backup "
       "and Cleanup, in days and names of the API, in archives: a secret outside is never read, changed or deleted")
def escapes(folder: pathlib.Path) -> str:
    if not shutil.which("zstd"):
        raise Broken("zstd is missing: apt-get install zstd")
    outside = Outside(folder)
    files, clean, tree = folder / "files", folder / "clean", folder / "tree"
    settings = {"FILE_ROOT": str(files), "CLEANUP_ROOTS": str(clean)}
    found = []
    with Server(folder, settings) as server:
        records = Records(server, outside)
        ways, names = try_file(records, files, outside), try_dates(records, outside)
        # Each race is run, so that one way out does not hide another.
        for race, root in ((race_file, files), (race_cleanup, clean), (race_backup, tree)):
            try:
                found.append((True, race(records, root, outside)))
            except Broken as broken:
                found.append((False, str(broken)))
        demand(server.panics() == 0, f"{server.panics()} panics")
    told = "; ".join(said for _, said in found)
    demand(all(holds for holds, _ in found), told)
    return (f"{ways} ways out of File's folder and {names:,} days and names tried; {told}; 0 escapes, and no mark in "
            f"{demand_no_copy(folder, outside)} files that were left")
