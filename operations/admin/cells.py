"""How one value of a row reads in a list, a table or a page: plain numbers, short ids, links."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display

from orders.models import Instrument
from polytrader.numbers import plain

Cell = Callable[[Any], str]

NOTHING = "-"
LONGEST_ID = 20
LONGEST_QUESTION = 40
LONGEST_TEXT = 60
STATE_COLOURS = {
    "active": "success",
    "pending_activation": "info",
    "triggered": "warning",
    "error": "danger",
    "cancelled": "default",
    "planned": "info",
    "sent": "info",
    "open": "info",
    "filled": "success",
    "rejected": "danger",
    "matched": "info",
    "confirmed": "success",
    "failed": "danger",
    "requested": "info",
    "delayed": "warning",
    "working": "info",
    "done": "success",
    "waiting": "info",
    "completed": "success",
    "resolved": "success",
}
SHORT_STATES = {"pending_activation": "pending"}


def number(value: Decimal | None) -> str:
    """A decimal without trailing zeros; a dash where there is none."""
    return NOTHING if value is None else plain(value)


def moment(value: datetime | None) -> str:
    """Date and time with seconds, in the installation's time zone."""
    if value is None:
        return NOTHING
    date, time = f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}".split()
    return format_html('<span class="whitespace-nowrap">{}</span> {}', date, time)


def age_of(value: datetime | None) -> str:
    """How long ago a moment was, in seconds."""
    if value is None:
        return "never"
    return f"{(timezone.now() - value).total_seconds():.0f} s ago"


def counted(count: int, noun: str) -> str:
    """So many of something: `1 stop`, `2 stops`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def cut(text: str, longest: int) -> str:
    """A text cut to a length; the whole of it when one points at it."""
    if len(text) <= longest:
        return text or NOTHING
    return format_html('<span title="{}">{}…</span>', text, text[: longest - 1].rstrip())


def shortened(text: str) -> str:
    """An id as its two ends; the whole of it when one points at it."""
    if len(text) <= LONGEST_ID:
        return text or NOTHING
    return _whole_of(text, f"{text[:8]}…{text[-6:]}")


def tail_of(text: str) -> str:
    """The last digits of a state key; all of it when one points at it."""
    return _whole_of(text, f"…{text[-8:]}")


def _whole_of(text: str, short: str) -> str:
    return format_html('<span title="{}" class="whitespace-nowrap">{}</span>', text, short)


def label(state: str) -> str:
    """A state as a coloured label."""
    told = {
        "type": STATE_COLOURS.get(state, "default"),
        "text": SHORT_STATES.get(state, state),
        "label_title": state.replace("_", " "),
    }
    return render_to_string("unfold/helpers/label.html", told)


def market(instrument: Instrument) -> str:
    """The question cut short with the outcome, or the symbol; all of it when one points at it."""
    question = instrument.question or instrument.symbol
    if len(question) > LONGEST_QUESTION:
        question = f"{question[: LONGEST_QUESTION - 1].rstrip()}…"
    outcome = f" [{instrument.outcome}]" if instrument.outcome else ""
    whole = f"{instrument.question}{outcome} {instrument.symbol}".strip()
    return format_html('<span title="{}">{}{}</span>', whole, question, outcome)


def link(row: models.Model | None, text: str) -> str:
    """Lead to a row's page, where it has one."""
    if row is None:
        return NOTHING
    if not admin.site.is_registered(type(row)):
        return text
    address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    wrapping = "whitespace-nowrap" if len(text) <= LONGEST_ID else ""
    return format_html('<a href="{}" class="text-primary-600 {}">{}</a>', address, wrapping, text)


def link_to(row: models.Model | None) -> str:
    """Lead to a row's page by the name it has for people."""
    if row is None:
        return NOTHING
    return link(row, market(row) if isinstance(row, Instrument) else name_of(row))


def name_of(row: models.Model) -> str:
    """A row's own name, long ids in it shortened."""
    words = str(row).split(" ")
    if all(len(word) <= LONGEST_ID for word in words):
        return str(row)
    return format_html(
        '<span title="{}">{}</span>',
        str(row),
        " ".join(w if len(w) <= LONGEST_ID else f"{w[:8]}…{w[-6:]}" for w in words),
    )


def column(description: str, show: Cell, ordering: str | None = None) -> Cell:
    """A column, or a line of a page: a heading and how a row is shown under it."""

    def cell(row: Any) -> str:
        return show(row)

    cell.__name__ = description.replace(" ", "_")
    shown: Cell = display(description=description, ordering=ordering)(cell)
    return shown


def cell_of(model: type[models.Model], name: Any, *, on_page: bool = False) -> Any:
    """The column of a model's field, by its type; what is no field stays what it is.

    A row's own page (`on_page`) shows texts and ids whole, so that they can be copied.
    """
    if not isinstance(name, str):
        return name
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        return name
    show = _show_field(field, on_page)
    return column(_described(field), lambda row: show(getattr(row, name)), ordering=name)


def _described(field: Any) -> str:
    return str(field.verbose_name).replace("ID", "id")


def _show_field(field: Any, on_page: bool) -> Callable[[Any], str]:
    if field.name == "status":
        return label
    if isinstance(field, models.DecimalField):
        return number
    if isinstance(field, models.DateTimeField):
        return moment
    if isinstance(field, models.ForeignKey):
        return link_to
    if isinstance(field, models.BooleanField):
        return lambda value: "yes" if value else "no"
    if on_page or isinstance(field, models.IntegerField):
        return lambda value: NOTHING if value in (None, "") else str(value)
    return lambda value: _short_text(str(value or ""))


def _short_text(text: str) -> str:
    return cut(text, LONGEST_TEXT) if " " in text else shortened(text)
