"""What reads texts of strangers: cron expressions, command texts, settings."""

import pathlib
import re
import subprocess

from ..report import check, demand
from ..server import ROOT


@check("60 s of mutated texts each for cron, command text and settings: 0 panics, at most 1 ms of processor time for "
       "4 KiB")
def parsers(folder: pathlib.Path) -> str:
    out = subprocess.run(["cargo", "bench", "--locked", "--quiet", "--bench", "fuzz", "--", "60"], cwd=ROOT,
                         capture_output=True, text=True)
    found = re.findall(r"^(\w+): (\d+) texts, slowest ([\d.]+) ms", out.stdout, re.M)
    demand(out.returncode == 0 and len(found) == 3, f"{out.stdout[-500:]} {out.stderr[-500:]}")
    slow = [f"{name} {ms} ms" for name, _, ms in found if float(ms) > 1]
    demand(not slow, f"reading 4 KiB took {', '.join(slow)}: {out.stdout}")
    return ", ".join(f"{name} {int(texts):,} texts, slowest {ms} ms" for name, texts, ms in found) + "; 0 panics"
