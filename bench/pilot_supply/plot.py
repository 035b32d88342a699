"""The laws as points: mean wait and idle hours, each as a multiple of DIRAC's SiteDirector's; one SVG, no library."""

import math
from collections.abc import Mapping
from xml.sax.saxutils import escape

Means = Mapping[str, float]
Results = dict[str, dict[str, Means]]
"""What each law did with each workload, by title and name."""

_SIDE, _LEFT, _TOP, _RIGHT = 420, 70, 40, 250
_LEAST, _MOST = 0.1, 20.0  # what is beyond is drawn at the edge
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
_COLOURS = {"glideinWMS": "#8c6bb1", "Harvester": "#d95f0e", "COBalD linear": "#636363", "": "#1b7837"}
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
    '<title>{title}</title><rect width="100%" height="100%" fill="#ffffff"/>'
)


def drawn(results: Results, ours: str) -> str:
    """Return the drawing: DIRAC's, the first law, is where both are 1; up and right of it is worse in both."""
    base = next(iter(next(iter(results.values()))))
    names = [*[name for name in _COLOURS if name], ours]
    width, height = _LEFT + _SIDE + _RIGHT, _TOP + _SIDE + 60
    title = f"Mean wait and idle hours as multiples of {base}'s"
    parts = [_HEAD.format(width=width, height=height, title=escape(title)), *_frame(title)]
    for name in names:
        for workload, of in results.items():
            parts.append(_point(of[name], of[base], _COLOURS.get(name, _COLOURS[""]), f"{name.strip('*')}: {workload}"))
    for line, name in enumerate(names):
        y = _TOP + 20 + 22 * line
        colour = _COLOURS.get(name, _COLOURS[""])
        parts.append(f'<circle cx="{_LEFT + _SIDE + 24}" cy="{y - 4}" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{_LEFT + _SIDE + 36}" y="{y}">{escape(name.strip("*"))}</text>')
    y = _TOP + 20 + 22 * len(names)
    parts.append(f'<text x="{_LEFT + _SIDE + 20}" y="{y + 8}">one point for each workload</text>')
    return "\n".join([*parts, "</svg>", ""])


def _frame(title: str) -> list[str]:
    one = _place(1.0)
    parts = [
        f'<text x="{_LEFT}" y="24" font-size="14">{escape(title)}</text>',
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#999999"/>',
        f'<rect x="{_LEFT + one:.1f}" y="{_TOP}" width="{_SIDE - one:.1f}" height="{_SIDE - one:.1f}" fill="#fde0dd"/>',
        f'<text x="{_LEFT + _SIDE - 8}" y="{_TOP + 18}" text-anchor="end">worse in both</text>',
        f'<text x="{_LEFT + _SIDE / 2}" y="{_TOP + _SIDE + 42}" text-anchor="middle">idle processor hours</text>',
        f'<text transform="translate(18 {_TOP + _SIDE / 2}) rotate(-90)" text-anchor="middle">mean wait of jobs</text>',
    ]
    for tick in _TICKS:
        x, y = _LEFT + _place(tick), _TOP + _SIDE - _place(tick)
        parts.append(f'<text x="{x:.1f}" y="{_TOP + _SIDE + 18}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    return parts


def _point(of: Means, base: Means, colour: str, what: str) -> str:
    wait, idle = (of[name] / base[name] for name in ("mean", "idle_h"))
    x, y = _LEFT + _place(idle), _TOP + _SIDE - _place(wait)
    told = escape(f"{what}: wait {wait:.2f}, idle hours {idle:.2f}")
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}" fill-opacity="0.75"><title>{told}</title></circle>'


def _place(ratio: float) -> float:
    """Return where a ratio is on an axis, in px from its beginning; the axes are logarithmic."""
    within = min(max(ratio, _LEAST), _MOST)
    return _SIDE * math.log(within / _LEAST) / math.log(_MOST / _LEAST)
