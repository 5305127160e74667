"""The project's own rows: API tokens, answers kept by idempotency key, heartbeats."""

from datetime import timedelta

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
