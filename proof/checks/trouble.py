"""The disk says no: errors of the device, a full file system. Nothing panics, nothing is acknowledged that is not
there, and it goes on by itself."""

import pathlib
import shutil
import subprocess
import threading
import time

from ..recorder import Recorder
from ..report import Broken, check, demand, until
from ..server import Server, job


class Adder:
    """Asks for new jobs all the time and keeps those that were acknowledged."""

    def __init__(self, server: Server):
        self.server, self.taken, self.refused, self.worst = server, [], 0, set()
        self._stop = threading.Event()
        # Not waited for where a promise is broken.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        n = 0
        while not self._stop.is_set():
            n += 1
            text = {"name": f"added {n}", "cron_expr": "0 0 29 2 *", "mode": "func", "command": "Echo " + "x" * 2000}
            try:
                status, answer = self.server.ask("POST", "/jobs/add", text, timeout=20)
            except OSError:
                continue
            if status == 200 and answer["code"] == 200:
                self.taken.append((answer["data"]["id"], text["name"]))
            else:
                self.refused += 1
                self.worst.add(answer["code"])
            time.sleep(0.01)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def demand_kept(self) -> None:
        stored = set(self.server.rows("SELECT id, name FROM tj_jobs"))
        lost = [entry for entry in self.taken if entry not in stored]
        demand(not lost, f"{len(lost)} of {len(self.taken)} acknowledged jobs are not there")


@check("the data folder on a 16 MiB tmpfs is filled up, then freed: 0 panics, 0 false acknowledgements, firing again "
       "within 10 s without a restart")
def full_disk(folder: pathlib.Path) -> str:
    data = folder / "data"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", data], check=True)
    try:
        with Recorder() as recorder, Server(folder) as server:
            url = f"【url】http://127.0.0.1:{recorder.port}/"
            server.add([job(f"http {n}", "http", url + str(n), every=1) for n in range(5)])
            until(lambda: recorder.seen, 5, "jobs fire")
            adder = Adder(server)
            until(lambda: len(adder.taken) > 50, 20, "jobs are added")
            with (data / "ballast").open("wb", buffering=0) as ballast:
                try:
                    while True:
                        ballast.write(b"x" * 4096)
                except OSError:
                    pass
            until(lambda: adder.refused > 0, 60, "adding is refused on the full disk")
            time.sleep(8)
            (data / "ballast").unlink()
            freed, seen = time.monotonic(), len(recorder.seen)
            until(lambda: len(recorder.seen) > seen, 30, "jobs fire again")
            back = time.monotonic() - freed
            taken = len(adder.taken)
            until(lambda: len(adder.taken) > taken, 20, "jobs are added again")
            adder.stop()
            adder.demand_kept()
            server.stop()
            demand(server.panics() == 0, f"{server.panics()} panics")
            demand(server.integrity() == "ok", "integrity_check")
            demand(back <= 10, f"firing again after {back:.1f} s")
            return (f"{adder.refused} adds refused while it was full (codes {sorted(adder.worst)}), "
                    f"{len(adder.taken)} acknowledged and there, firing again {back:.1f} s after it was freed, 0 panics")
    finally:
        subprocess.run(["umount", "-l", data], check=False)


@check("EIO from writes, syncs and truncation of the database's files, one in twenty for 20 s: 0 panics, 0 false "
       "acknowledgements, firing again within 10 s without a restart")
def broken_disk(folder: pathlib.Path) -> str:
    if not shutil.which("strace"):
        raise Broken("strace is missing: apt-get install strace")
    with Recorder() as recorder, Server(folder) as server:
        url = f"【url】http://127.0.0.1:{recorder.port}/"
        server.add([job(f"http {n}", "http", url + str(n), every=1) for n in range(5)])
        until(lambda: recorder.seen, 5, "jobs fire")
        adder = Adder(server)
        until(lambda: len(adder.taken) > 20, 20, "jobs are added")
        files = [f"--trace-path={server.data / name}" for name in
                 ("timerjobs.db", "timerjobs.db-wal", "timerjobs.db-shm")]
        injected = folder / "injected"
        injector = subprocess.Popen(
            ["strace", "-f", "-o", str(injected), *files, "-e", "trace=pwrite64,fdatasync,fsync,ftruncate",
             "-e", "inject=pwrite64,fdatasync,fsync,ftruncate:error=EIO:when=20+20", "-p", str(server.pid)],
            stderr=subprocess.DEVNULL)
        time.sleep(20)
        injector.terminate()
        injector.wait()
        healed, seen = time.monotonic(), len(recorder.seen)
        until(lambda: len(recorder.seen) > seen, 30, "jobs fire again")
        back = time.monotonic() - healed
        taken = len(adder.taken)
        until(lambda: len(adder.taken) > taken, 20, "jobs are added again")
        adder.stop()
        adder.demand_kept()
        server.stop()
        errors = injected.read_text(errors="replace").count("(INJECTED)")
        demand(errors >= 20, f"only {errors} errors were injected")
        demand(server.panics() == 0, f"{server.panics()} panics")
        demand(server.integrity() == "ok", "integrity_check")
        demand(back <= 10, f"firing again after {back:.1f} s")
        return (f"{errors} errors injected, {adder.refused} adds refused, {len(adder.taken)} acknowledged and there, "
                f"firing again {back:.1f} s after the last error, 0 panics, integrity ok")
