"""The base row: money columns, moments, and the one way to change a state."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.db import models
from django.utils import timezone


class IllegalMoveError(Exception):
    """A move that the table of allowed moves does not know: a bug, never a race."""


_Set = TypeVar("_Set", contravariant=True)
_Get = TypeVar("_Get", covariant=True)

if TYPE_CHECKING:

    class _DecimalField(models.DecimalField[_Set, _Get]):
        pass

else:

    class _DecimalField(models.DecimalField):
        """Django's field, which takes its type parameters in the type checker's eyes only."""

        def __class_getitem__(cls, _: Any) -> type:
            return cls


class ExactDecimalField(_DecimalField[_Set, _Get]):
    """A price, quantity or amount: numeric with 20 digits on either side of the point."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("max_digits", 40)
        options.setdefault("decimal_places", 20)
        super().__init__(*args, **options)


class Row(models.Model):
    """A row with moments and, where it has a `status`, a table of allowed moves.

    `moves` maps each state to those it may become. Nobody assigns `status`:
    `move()` is one conditional UPDATE, and its row count says who won.
    """

    moves: ClassVar[Mapping[str, frozenset[str]]] = {}

    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True

    def move(self, to: str, **changes: Any) -> bool:
        """Become `to` if the row is still in the state seen here; `False` steps back quietly.

        `changes` are columns written in the same statement. On success the row
        in memory has them too. Raises `IllegalMoveError` for a move that is not allowed.
        """
        seen: str = self.status  # type: ignore[attr-defined]
        if to not in self.moves.get(seen, frozenset()):
            raise IllegalMoveError(f"{type(self).__name__} {self.pk}: {seen} -> {to}")
        changes = {"status": to, "updated_at": timezone.now(), **changes}
        rows = type(self)._base_manager.filter(pk=self.pk, status=seen)  # type: ignore[misc]
        if rows.update(**changes) == 0:
            return False
        for name, value in changes.items():
            setattr(self, name, value)
        return True

    def note(self, **changes: Any) -> None:
        """Write columns that are not the state, whatever the state has become."""
        changes = {"updated_at": timezone.now(), **changes}
        type(self)._base_manager.filter(pk=self.pk).update(**changes)
        for name, value in changes.items():
            setattr(self, name, value)
