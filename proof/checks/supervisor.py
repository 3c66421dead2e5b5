"""The supervisor, seen through its children: what it restarts and when, when it gives up, and whom nobody ever ends by
mistake."""

import concurrent.futures
import os
import pathlib
import signal
import socket
import subprocess
import time

from ..report import check, demand, until
from ..server import BINARY, Server, end_all, processes

# How much later than it should a server may be started again.
SLACK = 0.5
HEALTHY = 61.0


class Supervised(Server):
    """A supervisor in the foreground, and its server."""

    def __init__(self, folder: pathlib.Path, settings: dict[str, str] | None = None, **how):
        folder.mkdir()
        super().__init__(folder, settings, **how)
        self.mark = f"HOME={folder}\0"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end_all(self.mark)
        if self.process:
            self.process.wait()

    def start(self, seconds: float = 30) -> Server:
        self.process = self.spawn("start", "-f")
        until(self.is_healthy, seconds, f"{self.folder.name}: the server is healthy", 0.01)
        return self

    def call(self, *arguments: str) -> tuple[int, str]:
        """A command of the program: how it ended, and what it said."""
        done = subprocess.run([BINARY, *arguments], cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=90)
        return done.returncode, done.stdout

    def server_pid(self) -> int | None:
        try:
            return int(pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()[0])
        except (OSError, IndexError):
            return None

    def crash(self) -> None:
        """The server dies, healthy or not, and has been waited for."""
        died = until(self.server_pid, 5, "there is a server")
        os.kill(died, signal.SIGKILL)
        until(lambda: self.server_pid() != died, 5, "the supervisor notices", 0.002)

    def pause(self, wanted: float) -> float:
        """Crashes it and demands that it is started again after so many seconds; how many it were."""
        began = time.monotonic()
        self.crash()
        until(lambda: self.server_pid(), wanted + 5, f"a server is started after {wanted:g} s", 0.005)
        took = time.monotonic() - began
        demand(wanted - 0.05 <= took <= wanted + SLACK, f"a pause of {took:.2f} s instead of {wanted:g} s")
        until(self.is_healthy, 30, "the new server is healthy", 0.01)
        return took

    def demand_end(self, wanted: bool, seconds: float, what: str) -> None:
        """The supervisor ends, well or not, and nothing is left or comes back."""
        until(lambda: self.process.poll() is not None, seconds, f"the supervisor ends after {what}", 0.01)
        demand((self.process.returncode == 0) == wanted, f"it ended with {self.process.returncode} after {what}")
        time.sleep(3)
        left = processes(self.mark)
        demand(not left, f"{len(left)} processes are there after {what}")


def crash_loop(folder: pathlib.Path) -> str:
    with Supervised(folder, {"DAEMON_MAX_RESTARTS": "4"}) as it:
        it.start()
        pauses = [it.pause(wanted) for wanted in (1, 2, 4, 8)]
        it.crash()
        it.demand_end(False, 2, "a fifth crash with DAEMON_MAX_RESTARTS=4")
        return (f"crash loop: pauses of {', '.join(f'{pause:.2f}' for pause in pauses)} s, "
                f"then given up with {it.process.returncode}")


def healthy_again(folder: pathlib.Path) -> str:
    with Supervised(folder, {"DAEMON_MAX_RESTARTS": "2"}) as it:
        it.start()
        it.pause(1)
        it.pause(2)
        time.sleep(HEALTHY)
        pauses = [it.pause(1), it.pause(2)]
        it.crash()
        it.demand_end(False, 2, "a third crash with DAEMON_MAX_RESTARTS=2")
        return f"after {HEALTHY:g} s of health pauses begin anew: {', '.join(f'{pause:.2f}' for pause in pauses)} s"


def port_taken(folder: pathlib.Path) -> str:
    with Supervised(folder, {"DAEMON_MAX_RESTARTS": "2"}) as it:
        taken = socket.create_server(("127.0.0.1", it.port))
        with taken:
            code, said = it.call("start")
            demand(code not in (0, None) and str(it.port) in said, f"a start on a taken port: {code}, {said}")
            began = time.monotonic()
            it.process = it.spawn("start", "-f")
            until(lambda: it.process.poll() is not None, 30, "the supervisor gives up on a taken port")
            took = time.monotonic() - began
            # Each lives for a millisecond or two, too short to be looked for in the process table.
            starts = it.words().count("cannot be listened on")
            demand(starts == 3 and took >= 3, f"{starts} starts within {took:.1f} s on a taken port")
            it.demand_end(False, 0, "a taken port")
            # What has the port goes on, and the next one gets it as soon as it is free.
            socket.create_connection(("127.0.0.1", it.port)).close()
            said = len(it.words())
            it.process = it.spawn("start", "-f")
            until(lambda: "started again in" in it.words()[said:], 10, "the first start fails")
        until(it.is_healthy, 10, "it is healthy once the port is free")
        code, said = it.call("stop", "-f")
        demand(code == 0, f"stop -f: {code}, {said}")
        it.demand_end(True, 5, "stop -f")
        return f"port taken: {starts} starts within {took:.1f} s, then given up; up by itself once it was free"


def stranger(folder: pathlib.Path) -> str:
    with Supervised(folder) as it:
        it.start()
        runtime = folder / "runtime"
        names = ["job.pid", "daemon.pid"]
        own = {name: (runtime / f"{name}.id").read_text().splitlines() for name in names}
        it.process.kill()
        it.process.wait()
        end_all(it.mark)
        # From here on it is in the background, and no child of ours.
        it.process = None
        sleeper = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)
        try:
            began = pathlib.Path(f"/proc/{sleeper.pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
            # As it is when the pid is used again; after a boot too; and what other programs write.
            left = {
                "the pid was used again": {name: [str(sleeper.pid), *own[name][1:]] for name in names},
                "since another boot": {name: [str(sleeper.pid), began, "another-boot"] for name in names},
                "a bare pid": dict.fromkeys(names),
            }
            commands = 0
            for what, files in left.items():
                for command in (["status"], ["stop"], ["stop", "-f"], ["reload"], ["restart"], ["start", "-d", "-f"]):
                    for name, identity in files.items():
                        (runtime / name).write_text(f"{sleeper.pid}\n")
                        (runtime / f"{name}.id").unlink(missing_ok=True)
                        if identity:
                            (runtime / f"{name}.id").write_text("".join(f"{line}\n" for line in identity))
                    code, said = it.call(*command)
                    demand(sleeper.poll() is None, f"{what}: {command} ended a stranger: {said}")
                    starts = command[0] in ("restart", "start")
                    demand(not starts or code == 0, f"{what}: {command}: {code}, {said}")
                    if starts:
                        until(it.is_healthy, 5, f"{what}: {command} starts a server")
                        code, said = it.call("stop", "-f")
                        demand(code == 0 and not processes(it.mark), f"{what}: stop -f: {code}, {said}")
                        demand(sleeper.poll() is None, f"{what}: stop -f ended a stranger: {said}")
                    commands += 1
        finally:
            sleeper.kill()
            sleeper.wait()
        return f"stale pid files: a stranger survived {commands} commands"


def stop_in_a_pause(folder: pathlib.Path) -> str:
    with Supervised(folder, {"DAEMON_RESTART_DELAY": "6"}) as it:
        it.start()
        it.crash()
        code, said = it.call("stop")
        demand(code != 0 and "stop -f" in said, f"stop without a server: {code}, {said}")
        demand(it.process.poll() is None, "stop without a server ended the supervisor")
        began = time.monotonic()
        code, said = it.call("stop", "-f")
        demand(code == 0, f"stop -f in a pause: {code}, {said}")
        it.demand_end(True, 2, "stop -f in a pause")
        time.sleep(4)
        demand(not processes(it.mark) and time.monotonic() - began > 6.5, "a server came after the pause")
        it.start()
        it.crash()
        it.process.terminate()
        it.demand_end(True, 2, "TERM in a pause")
        return "stop -f and TERM in a pause end it with 0, and no server comes"


def clean_exit(folder: pathlib.Path) -> str:
    with Supervised(folder, {"DAEMON_RESTART_DELAY": "0"}) as it:
        ends = {
            "stop": lambda: demand(it.call("stop")[0] == 0, "stop fails"),
            "TERM to the server": lambda: os.kill(it.server_pid(), signal.SIGTERM),
            "TERM to the supervisor": lambda: it.process.terminate(),
        }
        for what, end in ends.items():
            it.start()
            end()
            it.demand_end(True, 10, what)
        return "a clean exit is not restarted"


def two_starts(folder: pathlib.Path) -> str:
    rounds = 5
    with Supervised(folder) as one, Supervised(folder.with_name("other"), {"DAEMON_MAX_RESTARTS": "0"},
                                              data=one.data) as other:
        for _ in range(rounds):
            one.process, other.process = one.spawn("start"), other.spawn("start")
            both = [one, other]
            until(lambda: any(it.process.poll() is not None for it in both), 20, "one of two starts is refused", 0.01)
            loser, winner = sorted(both, key=lambda it: it.process.poll() is None)
            demand(loser.process.returncode not in (0, None), f"a refused start: {loser.process.returncode}")
            demand("another TimerJobs server is running" in loser.tail(), f"a refused start says {loser.tail()}")
            until(winner.is_healthy, 20, "the other one is healthy")
            winner.stop()
        one.start()
        pid = one.server_pid()
        refused = {"start": one, "start -f": one, "start -d": one, "start -d -f": one}
        for command, it in refused.items():
            code, said = it.call(*command.split())
            demand(code not in (0, None), f"a second {command} in the same folder: {code}, {said}")
        for command in ("start", "start -f", "start -d"):
            code, said = other.call(*command.split())
            demand(code not in (0, None), f"a second {command} on the same data: {code}, {said}")
        demand(one.server_pid() == pid and one.is_healthy(), "a second start disturbed the first")
        code, said = one.call("stop", "-f")
        demand(code == 0, f"stop -f: {code}, {said}")
        one.demand_end(True, 5, "stop -f")
        left = processes(other.mark)
        demand(not left, f"{len(left)} processes of refused starts are there")
        return f"two starts on one data folder: one refused, in {rounds} races and {len(refused) + 3} ways after it"


@check("semantics 11: pauses of 1 s doubling, forgotten after 60 s of health; given up with a non-zero exit after "
       "DAEMON_MAX_RESTARTS, also when the port is taken; a stale pid file gets no stranger killed; stop in a pause; a "
       "clean exit is not restarted; of two starts on one data folder one is refused")
def supervisor(folder: pathlib.Path) -> str:
    parts = [crash_loop, healthy_again, port_taken, stranger, stop_in_a_pause, clean_exit, two_starts]
    # Nearly all of their time they wait.
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
        found = list(pool.map(lambda part: part(folder / part.__name__), parts))
    return "; ".join(found)
