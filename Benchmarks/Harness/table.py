"""Formats the results as text."""
from .peers import YARDSTICK
from .results import is_quiet


def _number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def _rows(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return ["  " + "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                             for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
            for row in [head, *rows]]


def _timed(work, figures, names):
    head = ("", "CPU µs", f"× {YARDSTICK}", "(least – most)", "a second", "p50 µs", "p99 µs", "busy", "load", "RSS MiB")
    if work["load"] == "stream":
        head = (*head[:4], "MiB/s", *head[5:])
    rows = []
    for name, peer in figures.items():
        middle, spread = peer["median"], peer["cpu_ratio_range"]
        latencies = ("", "") if work["load"] == "stream" else (_number(middle["p50_us"]), _number(middle["p99_us"]))
        rows.append((
            names.get(name, name), _number(middle["cpu_ns"] / 1000),
            f"{peer['cpu_ratio']:.2f}" if spread else "", f"{spread[0]:.2f} – {spread[1]:.2f}" if spread else "",
            _number(middle["per_second"]), *latencies, f"{middle['busy']:.0%}", f"{middle['load_busy']:.0%}",
            f"{middle['rss_kib'] / 1024:.1f}"))
    return _rows(head, rows)


def _idle(figures, names):
    head = ("", "bytes each", "private", "after a message", "RSS before MiB", "RSS open MiB", "RSS ended MiB")
    rows = []
    for name, peer in figures.items():
        middle = peer["median"]
        rows.append((
            names.get(name, name), _number(middle["bytes_idle"]), _number(middle["bytes_idle_private"]),
            _number(middle["bytes_used"]), f"{middle['rss_before_kib'] / 1024:.1f}", f"{middle['rss_kib'] / 1024:.1f}",
            f"{middle['rss_ended_kib'] / 1024:.1f}"))
    return _rows(head, rows)


def text(results):
    machine, settings, names = results["machine"], results["settings"], results["titles"]
    lines = [
        f"Fin {results['commit']}, {results['when']}",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['kernel']}",
        f"medians over rounds: {settings['rounds']}, of {settings['measure_ms']} ms after {settings['warm_up_ms']} ms; "
        "the server on one core, the load on another",
        "",
    ]
    lines += [f"  {names.get(name, name)}: {version}" for name, version in results["versions"].items()]
    lines += [f"  not measured: {names.get(name, name)}: {reason}" for name, reason in results["missing"].items()]
    for name, figures in results["works"].items():
        work = results["about"][name]
        lines += ["", f"{name}: {work['title']}" + ("" if work["load"] == "idle" else f"; per {work['operation']}")]
        lines += _idle(figures, names) if work["load"] == "idle" else _timed(work, figures, names)
    if results.get("close"):
        lines += ["", "close: from the call of close to its report, Fin to Fin on loopback"]
        lines += _rows(("", "p50 µs", "p99 µs"), [
            (policy, _number(one["p50_us"]), _number(one["p99_us"])) for policy, one in results["close"].items()])
    if results["wrong"]:
        lines += ["", *(f"WRONG: {said}" for said in results["wrong"])]
    middle, worst = results["disturbed"]
    if not results["works"]:
        return "\n".join(lines) + "\n"
    lines += [
        "", f"Something else had a server's core for {middle:.1%} of the measured time (median; at worst {worst:.0%})."]
    if not is_quiet(results):
        lines.append("The machine was not quiet: trust the ratios more than the times, and neither much.")
    return "\n".join(lines) + "\n"
