"""Small parts of the page: bars, marks, swatches, requests."""

from collections.abc import Iterable, Mapping
from html import escape
from math import isfinite

from lunaria.demo.conversation import Exchange

COLOURS: Mapping[str, str] = {
    "black": "#16181b",
    "blue": "#2b5fd9",
    "brown": "#7a4a21",
    "green": "#2f8f3f",
    "gray": "#8b9199",
    "orange": "#f08c1a",
    "pink": "#f28fb5",
    "purple": "#7b3fbf",
    "red": "#d22b2b",
    "white": "#ffffff",
    "yellow": "#f4cf26",
    "beige": "#d7c3a0",
    "khaki": "#96915f",
    "multicolored": "conic-gradient(#d22b2b, #f4cf26, #2f8f3f, #2b5fd9, #7b3fbf, #d22b2b)",
}
"""How the colours of clothes look in CSS; the other words are of no colour."""


def bar(name: str, value: float, *, best: bool = False, mark: float | None = None) -> str:
    """A value of 0..1 with its name; `best` stands out; `mark`: a threshold on the bar."""
    tick = "" if mark is None else f"<b style='left:{share(mark)}'></b>"
    return (
        f"<div class='meter{' best' if best else ''}'><span>{escape(name.replace('_', ' '))}</span>"
        f"<div><i style='width:{share(value)}'></i>{tick}</div><span>{value:.2f}</span></div>"
    )


def bars(values: Mapping[str, float], best: str | None = None) -> str:
    """A bar for each value, the largest first; `best` is the name of the one that stands out."""
    ordered = sorted(values.items(), key=lambda item: -item[1])
    return "".join(bar(name, value, best=name == best) for name, value in ordered)


def share(value: float) -> str:
    """A value of 0..1 as a percentage of a width; what lies outside ends at the edges."""
    if not isfinite(value):
        raise ValueError(f"{value} has no place on a bar")
    return f"{min(max(value, 0.0), 1.0):.1%}"


def fact(name: str, value: str) -> str:
    """A line with a name and a word (HTML)."""
    return f"<div class=fact><span>{escape(name)}</span><span>{value}</span></div>"


def degrees(angle: float) -> str:
    """An angle in whole degrees with its sign."""
    return f"{round(angle):+d}°" if round(angle) else "0°"


def swatches(colours: Iterable[str]) -> str:
    """Colours as small squares with their names."""
    shown = []
    for colour in colours:
        look = COLOURS.get(colour)
        square = f"<i class=swatch style='background:{look}'></i>" if look else "<i class='swatch blank'></i>"
        shown.append(f"<span class=colour>{square}{escape(colour)}</span>")
    return " ".join(shown)


def mark(passed: bool) -> str:
    """Whether a check was passed."""
    return "<span class='mark good'>✓</span>" if passed else "<span class='mark none'>✗</span>"


def exchanges(said: Iterable[Exchange], title: str) -> str:
    """Requests and replies, folded."""
    shown = "".join(f"<pre>{escape(one.request)}\n\n{escape(one.reply)}</pre>" for one in said)
    return f"<details><summary>{escape(title)}</summary>{shown}</details>"
