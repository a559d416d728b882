"""The table, as Markdown: it stands in docs/figures.md as it is printed."""

from collections.abc import Iterator

from tests.bench.measure import Figure, Series

_COLUMNS = (
    ("figure", 52), ("ours", 26), ("beside it", 60), ("ratio", 6), ("target", 9), ("", 4),
)  # fmt: skip


def heading() -> Iterator[str]:
    yield _line(name for name, _ in _COLUMNS)
    yield _line("-" * width for _, width in _COLUMNS)


def lines(figure: Figure) -> Iterator[str]:
    raw = f"{_values(figure, figure.raw)} {figure.raw_name}" if figure.raw else ""
    yield _line((
        figure.name,
        _values(figure, figure.ours),
        raw,
        f"{figure.ratio:.2f}" if figure.ratio is not None else "",
        _target(figure),
        {True: "ok", False: "OVER", None: ""}[figure.ok],
    ))  # fmt: skip


def _line(cells: "Iterator[str] | tuple[str, ...]") -> str:
    widths = (width for _, width in _COLUMNS)
    return (
        "| "
        + " | ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        + " |"
    )


def _values(figure: Figure, series: Series) -> str:
    """The percentile that counts, and in brackets the lowest and the highest value."""
    label = "" if figure.percent == 50 else f"p{figure.percent} "
    shown = _value(series.percentile(figure.percent), figure.unit)
    several = f" ({_range(series, figure.unit)})" if len(series.values) > 1 else ""
    return f"{label}{shown}{several}"


def _range(series: Series, unit: str) -> str:
    return f"{_value(series.low, unit, bare=True)}–{_value(series.high, unit, bare=True)}"


def _value(value: float, unit: str, *, bare: bool = False) -> str:
    """Seconds in milliseconds, shares in per cent; about three digits."""
    number = value * (100 if unit == "%" else 1000)
    text = f"{number:.0f}" if number >= 100 else f"{number:.3g}"
    return text if bare else f"{text} {'%' if unit == '%' else 'ms'}"


def _target(figure: Figure) -> str:
    if figure.ratio_limit is not None:
        return f"≤ {figure.ratio_limit:g}x"
    return "" if figure.limit is None else f"< {_value(figure.limit, figure.unit)}"
