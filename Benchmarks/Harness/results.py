"""Computes the figures from the rounds: medians over the rounds, and ratios to the C server within each round."""
import datetime
import os
import pathlib
import platform
import statistics
import subprocess

from .peers import YARDSTICK, folder


def machine():
    cpu = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    memory = next(int(line.split()[1]) for line in pathlib.Path("/proc/meminfo").read_text().splitlines()
                  if line.startswith("MemTotal"))
    return {"cpu": cpu, "cores": os.cpu_count(), "kernel": f"{platform.system()} {platform.release()}",
            "memory_gib": round(memory / (1 << 20), 1)}


def commit():
    done = subprocess.run(["git", "-C", str(folder), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def summary(rounds):
    """Summarizes one workload. `rounds` is a list of {peer: figures}, one for each round."""
    figures = {}
    for peer in dict.fromkeys(name for one in rounds for name in one):
        mine = [one[peer] for one in rounds if peer in one]
        ratios = [one[peer]["cpu_ns"] / one[YARDSTICK]["cpu_ns"] for one in rounds if peer in one and YARDSTICK in one]
        figures[peer] = {
            "median": {key: statistics.median(one[key] for one in mine) for key in mine[0]},
            "cpu_ratio": round(statistics.median(ratios), 3) if ratios else None,
            "cpu_ratio_range": [round(min(ratios), 3), round(max(ratios), 3)] if ratios else None,
            "rounds": mine,
        }
    return figures


def close_summary(rounds):
    """Summarizes the close times. `rounds` is a list of {policy: figures}."""
    return {policy: {key: statistics.median(one[policy][key] for one in rounds) for key in rounds[0][policy]}
            for policy in (rounds[0] if rounds else {})}


def is_quiet(results):
    return results["disturbed"][0] <= 0.02


def disturbance(works):
    """Returns the fraction of the measured time for which the servers were ready to run while another process had their
    core: the median and the worst."""
    parts = [one["disturbed"] for figures in works.values() for peer in figures.values() for one in peer["rounds"]
             if "disturbed" in one]
    return (statistics.median(parts), max(parts)) if parts else (0.0, 0.0)
