"""Runs the checks and writes docs/PROOF.md: `python3 -m proof [NAME ...]`. With names only these are run, and
their rows replaced."""

from __future__ import annotations

import datetime
import importlib
import json
import os
import pathlib
import pkgutil
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

from . import checks
from .report import ALL, Broken
from .server import BINARY, ROOT

FOUND = ROOT / "target/proof/found.json"
NOTES = pathlib.Path(__file__).with_name("notes.md")


def machine() -> str:
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB of memory, Linux {os.uname().release}"


def commit() -> str:
    out = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=10"], cwd=ROOT, capture_output=True)
    return out.stdout.decode().strip() or "unknown"


def known() -> dict[str, dict]:
    """What was found so far, by check."""
    try:
        return json.loads(FOUND.read_text())
    except (OSError, ValueError):
        return {}


def page(found: dict[str, dict]) -> str:
    rows = "\n".join(
        f"| `{name}` | {check.demands} | {found[name]['said'].replace('|', '/')} | "
        f"{'holds' if found[name]['holds'] else '**broken**'} | {found[name]['took']:.0f} s | {found[name]['commit']} |"
        for name, check in ALL.items()
    )
    return (
        "# Proof\n\n"
        f"Made by `make proof` on {datetime.date.today().isoformat()}, in "
        f"{sum(one['took'] for one in found.values()) / 60:.0f} minutes on {machine()}.\n\n"
        "Each check tries to break a promise of [SEMANTICS.md](SEMANTICS.md) on the release binary, from outside. It "
        "believes files that jobs append to, a recorder of HTTP requests, the process table and the run records, and "
        "uses none of the server's code (`proof/`). `make proof ARGS=\"kills clock\"` runs some of them.\n\n"
        "| check | passes when | found | | took | commit |\n| --- | --- | --- | --- | --- | --- |\n"
        f"{rows}\n\n{NOTES.read_text()}"
    )


def main() -> int:
    for module in pkgutil.iter_modules(checks.__path__):
        importlib.import_module(f"{checks.__name__}.{module.name}")
    wanted = sys.argv[1:] or list(ALL)
    unknown = [name for name in wanted if name not in ALL]
    if unknown or not BINARY.exists():
        print(f"there is no {', '.join(unknown)}; there are {', '.join(ALL)}" if unknown
              else f"{BINARY} is missing: make build", file=sys.stderr)
        return 2
    began, found = time.monotonic(), known()
    for name in wanted:
        check, start = ALL[name], time.monotonic()
        print(f"{start - began:6.0f} s  {name}: {check.demands}", flush=True)
        # On the disk, not in memory: some checks look at what is synced. Short, as it is also the place of sockets.
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=os.environ.get("PROOF_DIR", "/var/tmp")))
        try:
            said, holds = check.run(folder), True
        except Broken as broken:
            said, holds = str(broken), False
        except Exception as error:
            traceback.print_exc()
            said, holds = f"{type(error).__name__}: {error}", False
        if holds:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"          what it left: {folder}", flush=True)
        took = time.monotonic() - start
        found[name] = {"said": said, "holds": holds, "took": took, "commit": commit()}
        FOUND.parent.mkdir(parents=True, exist_ok=True)
        FOUND.write_text(json.dumps(found))
        print(f"          {'holds' if holds else 'BROKEN'}, {took:.0f} s: {said}", flush=True)
    if found.keys() == ALL.keys():
        (ROOT / "docs/PROOF.md").write_text(page(found))
    broken = sum(not found[name]["holds"] for name in wanted)
    print(f"{len(wanted) - broken} passed, {broken} failed")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
