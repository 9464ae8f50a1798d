"""A plot of figures as SVG, drawn by hand: lines over a logarithmic scale, from zero, on white."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 70, 20, 60, 50
COLOURS: Final = ("#1b6ca8", "#c0392b", "#7f8c8d", "#27ae60")
STEPS: Final = 4
"""Lines across, above zero."""
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines of one unit.

    Args:
        title: what is drawn. across: what the points lie along. unit: of the values.
        lines: points by name, along what grows.
    """

    title: str
    across: str
    unit: str
    lines: Mapping[str, Sequence[Point]]

    def as_svg(self) -> str:
        """The drawing."""
        places = sorted({x for points in self.lines.values() for x, _ in points})
        top = _rounded_up(max(y for points in self.lines.values() for _, y in points))
        span = math.log(places[-1] / places[0]) or 1.0

        def at(x: float, y: float) -> tuple[float, float]:
            along = math.log(x / places[0]) / span
            return LEFT + along * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM)

        drawn = [_text(LEFT, 20, f"{self.title}, {self.unit}", size=14)]
        for step in range(STEPS + 1):
            value = top * step / STEPS
            _, y = at(places[0], value)
            drawn.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
            drawn.append(_text(LEFT - 6, y + 4, f"{value:,.0f}", anchor="end"))
        for place in places:
            x, y = at(place, 0)
            drawn.append(_text(x, y + 16, f"{place:,.0f}", anchor="middle"))
        drawn.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, self.across, anchor="middle"))
        for index, (name, points) in enumerate(self.lines.items()):
            colour = COLOURS[index % len(COLOURS)]
            spots = [at(*point) for point in points]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
            drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
            drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in spots]
            drawn.append(_text(LEFT + 285 * (index % 2), 38 + 14 * (index // 2), f"● {name}", colour=colour))
        size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
        return "\n".join((head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>', *drawn, "</svg>", ""))


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "#333", size: int = 11) -> str:
    look = f'text-anchor="{anchor}" fill="{colour}" font-size="{size}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(text)}</text>'


def _rounded_up(value: float) -> float:
    """The next number of one digit, or of one and a half, that `STEPS` lines divide well."""
    unit: float = 10 ** math.floor(math.log10(value))
    return next(unit * step for step in (1, 2, 4, 6, 8, 10) if value <= unit * step)
