"""Jobs that print gigabytes, one endless line, and bytes that are no text: memory stays bounded, the API answers, and
of each its record has the beginning, the end, and between them how much is missing."""

import pathlib
import random
import re
import threading
import time

from ..report import check, demand, percentile
from ..server import Server, job
from .children import ended, fire

GIB, LINE = 1 << 30, 256 << 20
# What is kept of a run: JOBS_OUTPUT_LIMIT_KB, of which the first quarter is the beginning.
KEPT = 1 << 20
CUT = re.compile(r"(.*)\n--- (\d+) bytes cut / 已截去 \2 字节 ---\n(.*)", re.S)
# As text it has up to three times its bytes, and fits.
BROKEN, COPIES = 300_000, 200


def cut(name: str, text: str) -> tuple[str, int, str]:
    """What is kept before and behind the mark, and the number of bytes that it tells."""
    found = CUT.fullmatch(text)
    demand(found is not None, f"{name}: no mark tells of a cut in {len(text)} characters")
    first, dropped, last = found.groups()
    demand(first.startswith("FIRST") and last.rstrip("\n").endswith("LAST"),
           f"{name}: it begins with {first[:20]!r} and ends with {last[-20:]!r}")
    size = len(text.encode())
    demand(0.99 * KEPT <= size <= KEPT, f"{name}: {size} bytes are kept")
    demand(0.99 * KEPT / 4 <= len(first.encode()) <= KEPT / 4, f"{name}: {len(first.encode())} bytes are its beginning")
    return first, int(dropped), last


@check("4 jobs that print 1 GiB each, a line of 256 MiB and broken UTF-8, all at once: RSS grows <= 64 MiB, p99 of "
       "GET /api/v1/jobs <= 200 ms, each succeeds and its record has beginning, mark and end")
def output(folder: pathlib.Path) -> str:
    noise = b"a" + random.Random(18).randbytes(BROKEN) + b"\n"
    (folder / "noise").write_bytes(noise)
    commands = {f"flood {n}": f"echo FIRST; yes | head -c {GIB}; echo LAST" for n in range(4)}
    commands |= {
        "line": f"printf FIRST; head -c {LINE} /dev/zero | tr '\\0' x; printf LAST",
        "broken": f"cat {folder / 'noise'}",
        "broken flood": f"echo FIRST; for n in $(seq {COPIES}); do cat {folder / 'noise'}; done; echo LAST",
    }
    took, failed, over = [], [], threading.Event()

    def client() -> None:
        while not over.is_set() and not failed:
            began = time.monotonic()
            try:
                server.good("GET", "/api/v1/jobs")
            except Exception as error:
                failed.append(error)
            took.append((time.monotonic() - began) * 1000)
            time.sleep(0.01)

    with Server(folder) as server:
        ids = server.add([job(name, "command", f"【command】{text}\n【timeout】100") for name, text in commands.items()])
        for _ in range(20):
            server.good("GET", "/api/v1/jobs")
        before = server.memory()
        # From now on the kernel keeps the greatest RSS: no sample could miss it.
        pathlib.Path(f"/proc/{server.pid}/clear_refs").write_text("5")
        asking = threading.Thread(target=client)
        asking.start()
        try:
            runs = [fire(server, number, 1)[0] for number in ids]
            records = ended(server, runs, 110)
        finally:
            over.set()
            asking.join()
        most = server.status("VmHWM") / 1024
        seconds = (max(end for *_, end in records) - min(start for _, start, _ in records)) / 1000
        texts = dict(server.rows(
            f"SELECT job_name, stdout FROM tj_runs WHERE id IN ({', '.join(map(str, runs))}) AND outcome = 'success'"))
        panics = server.panics()
    demand(not failed, f"GET /api/v1/jobs: {failed}")
    demand(texts.keys() == commands.keys(), f"not all succeeded: {records}")
    whole = {f"flood {n}": (GIB + len("FIRST\nLAST\n"), "y\n") for n in range(4)}
    whole["line"] = LINE + len("FIRSTLAST"), "x"
    for name, (printed, letters) in whole.items():
        first, dropped, last = cut(name, texts[name])
        kept = len(first) + len(last)
        demand(kept + dropped == printed, f"{name}: {kept} bytes kept and {dropped} cut, {printed} printed")
        inside = set(first.removeprefix("FIRST") + last.rstrip("\n").removesuffix("LAST"))
        demand(inside == set(letters), f"{name}: it holds {sorted(inside)[:10]}")
    # One U+FFFD for what cannot be the beginning of a character, and for NUL, which not every database takes.
    shown = noise.decode("utf-8", "replace").replace("\0", "\ufffd")
    demand(texts["broken"] == shown, f"broken: {len(texts['broken'])} characters are not the {len(shown)} printed")
    first, dropped, last = cut("broken flood", texts["broken flood"])
    demand(first == f"FIRST\n{shown}"[:len(first)], "broken flood: its beginning is not what was printed")
    # The cut may go through a character.
    last = last[4:]
    demand(last == (shown * 3 + "LAST\n")[-len(last):], "broken flood: its end is not what was printed")
    p99 = percentile(took, 0.99)
    demand(most - before <= 64, f"RSS {before:.0f} MiB before and {most:.0f} at most")
    demand(p99 <= 200, f"GET /api/v1/jobs: p99 {p99:.1f} ms of {len(took)}, worst {max(took):.1f} ms")
    demand(panics == 0, f"{panics} panics")
    return (f"{(4 * GIB + LINE + (COPIES + 1) * BROKEN) / GIB:.1f} GiB in {seconds:.1f} s; RSS {before:.0f} MiB before "
            f"and {most:.0f} at most; GET /api/v1/jobs {len(took)} times, p99 {p99:.1f} ms, worst {max(took):.1f} ms; "
            "all succeeded, each cut and its bytes told exactly")
