"""The project's own rows: API tokens, answers kept by idempotency key, heartbeats, alerts."""

from datetime import timedelta

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone

SCOPES = ("read", "trade", "admin")
LONGEST_KEY = 200
KEPT_FOR = timedelta(hours=24)


class ApiToken(models.Model):
    """A named token of one scope; the token itself is shown once, when it is made."""

    name = models.CharField(max_length=80, unique=True)
    scope = models.CharField(max_length=10, choices=[(s, s) for s in SCOPES])
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(scope__in=SCOPES), name="a_token_has_a_known_scope"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.scope})"

    def allows(self, scope: str) -> bool:
        """Whether this token may do what `scope` may."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


class IdempotentAnswer(models.Model):
    """The answer a key was given; committed together with what the request did."""

    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE)
    key = models.CharField(max_length=LONGEST_KEY)
    path = models.CharField(max_length=300)
    digest = models.CharField(max_length=64)
    status_code = models.IntegerField(null=True)
    body = models.BinaryField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token", "key"], name="one_answer_per_key")]
        indexes = [models.Index(fields=["created_at"], name="answers_by_age")]

    def __str__(self) -> str:
        return self.key

    @classmethod
    def forget_old(cls) -> None:
        """Delete answers older than they are kept."""
        cls.objects.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()


class Heartbeat(models.Model):
    """The last thing one process of a role did."""

    role = models.CharField(max_length=20)
    process = models.CharField(max_length=120)
    did = models.CharField(max_length=200)
    version = models.CharField(max_length=40)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["role", "process"], name="one_heartbeat_per_process")
        ]

    def __str__(self) -> str:
        return f"{self.role}: {self.did}"


class Lease(models.Model):
    """Who alone does something, and until when unless it says so again; see `trailing/lease.py`."""

    name = models.CharField(max_length=40, primary_key=True)
    holder = models.CharField(max_length=120)
    renewed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.holder}"


class Alert(models.Model):
    """Something a person should know, open until it is resolved; see `alerts.py`.

    `next_attempt_at` is when its webhook is due: for the raising first, then for the resolving;
    empty when there is nothing left to tell. `attempts` and `last_error` are those of that part.
    """

    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=200)
    text = models.TextField()
    details = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    count = models.PositiveIntegerField(default=1)
    raised_at = models.DateTimeField(default=timezone.now)
    last_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True)
    resolution = models.TextField(default="")
    delivered_at = models.DateTimeField(null=True)
    resolved_delivered_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, default=timezone.now)
    last_error = models.TextField(default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"],
                condition=models.Q(resolved_at__isnull=True),
                name="one_open_alert_per_kind_and_subject",
            )
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                condition=models.Q(next_attempt_at__isnull=False),
                name="alerts_to_deliver",
            ),
            models.Index(fields=["raised_at"], name="alerts_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject}"
