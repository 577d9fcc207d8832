"""Draws the results: a panel for each workload, a bar for each server. Legible in light and dark mode."""
from xml.sax.saxutils import escape

from .peers import YARDSTICK
from .results import is_quiet

WIDTH, GAP, MARGIN = 860, 36, 16
NAME, VALUE, ROW, BAR = 118, 78, 19, 12

STYLE = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
  .head { font-weight: 600; font-size: 15px; }
  .title { font-weight: 600; font-size: 13px; }
  .quiet { fill: #59636e; }
  .own { font-weight: 600; }
  .bar { fill: #afb8c1; }
  .bar.own { fill: #0969da; }
  .bar.yardstick { fill: #59636e; }
  .rule { stroke: #59636e; stroke-dasharray: 2 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .quiet { fill: #9198a1; }
    .bar { fill: #484f58; }
    .bar.own { fill: #4493f8; }
    .bar.yardstick { fill: #9198a1; }
    .rule { stroke: #9198a1; }
  }
"""


def _label(value, is_idle):
    if is_idle:
        return f"{value / 1024:.1f} KiB" if value >= 100 else f"{value:.0f} B"
    return f"{value:.2f} ×" if value < 10 else f"{value:.0f} ×"


def _bars(work, figures):
    """Returns (peer, length) for each bar, in the order of the table."""
    if work["load"] == "idle":
        return [(name, max(peer["median"]["bytes_idle"], 0)) for name, peer in figures.items()]
    return [(name, peer["cpu_ratio"]) for name, peer in figures.items() if peer["cpu_ratio"]]


def _panel(x, y, width, work, figures, names):
    is_idle = work["load"] == "idle"
    bars = _bars(work, figures)
    most = max((value for _, value in bars), default=1) or 1
    room = width - NAME - VALUE
    what = "memory per connection" if is_idle else f"CPU per {work['operation']}, relative to C"
    out = [f'<text class="title" x="{x}" y="{y}">{escape(work["title"])}</text>',
           f'<text class="quiet" x="{x}" y="{y + 16}">{escape(what)}</text>']
    top = y + 26
    if not is_idle and most > 0:
        at = x + NAME + room / most
        out.append(f'<line class="rule" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{top + ROW * len(bars)}"/>')
    for i, (name, value) in enumerate(bars):
        kind = "own" if name.startswith("fin") else "yardstick" if name == YARDSTICK else ""
        base = top + ROW * i
        length = max(room * value / most, 1)
        out.append(f'<text class="{kind}" x="{x + NAME - 8}" y="{base + 13}" text-anchor="end">'
                   f'{escape(names.get(name, name))}</text>')
        out.append(f'<rect class="bar {kind}" x="{x + NAME}" y="{base + (ROW - BAR) / 2:.1f}" width="{length:.1f}" '
                   f'height="{BAR}" rx="2"/>')
        out.append(f'<text class="{kind}" x="{x + NAME + length + 6:.1f}" y="{base + 13}">'
                   f'{_label(value, is_idle)}</text>')
    return out


SHORT = {"c": "C", "fin": "Fin", "nio": "NIO", "nio-async": "NIO async", "flyingsocks": "FlyingSocks", "go": "Go",
         "node": "node"}


def svg(results):
    works = list(results["works"].items())
    names = {name: SHORT.get(name, name) for name in results["titles"]}
    width = (WIDTH - 2 * MARGIN - GAP) / 2
    out, y = [], MARGIN + 62
    for row in range(0, len(works), 2):
        height = 0
        for column, (name, figures) in enumerate(works[row:row + 2]):
            out += _panel(MARGIN + column * (width + GAP), y, width, results["about"][name], figures, names)
            height = max(height, 26 + ROW * len(figures))
        y += height + 34
    machine, settings = results["machine"], results["settings"]
    head = "What a server costs: shorter is better"
    foot = (f"{machine['cpu']}, {machine['kernel']}, loopback; one core for the server; medians over rounds: "
            f"{settings['rounds']}, {results['when'][:10]}")
    if not is_quiet(results):
        foot += f"; a busy machine ({results['disturbed'][0]:.0%})"
    described = "CPU time per operation relative to a C server, for each kind of work. The table has the figures."
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img" '
        'aria-labelledby="t d">',
        f'<title id="t">{head}</title>', f'<desc id="d">{described}</desc>', f"<style>{STYLE}</style>",
        f'<text class="head" x="{MARGIN}" y="{MARGIN + 14}">{head}</text>',
        f'<text class="quiet" x="{MARGIN}" y="{MARGIN + 32}">{escape(foot)}</text>', *out, "</svg>", ""])
