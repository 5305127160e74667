"""The bodies of the mint queue as the OpenAPI schema tells them.

Requests are checked in `by_hand.py`; rows are shown by `showing.py`.
"""

from drf_spectacular.utils import inline_serializer
from rest_framework.fields import CharField, ChoiceField, DateTimeField, IntegerField

from polytrader.schema import Given, Plain, absent, page_of

JOB_KINDS = ("split", "merge", "redeem")
JOB_CAUSES = ("sale", "hedge", "surplus", "resolved", "hand")
JOB_STATES = ("requested", "delayed", "sent", "confirmed", "failed")
TRANSACTION_KINDS = (*JOB_KINDS, "approve")
TRANSACTION_STATES = ("sent", "confirmed", "failed")

NEW_JOB = inline_serializer(
    "NewMintJob",
    {
        "assetId": CharField(help_text="a token id; either outcome of the market"),
        "size": Given(
            required=False,
            help_text="shares of each outcome, six decimals at most; may be left out of a `redeem`, "
            "which takes everything that is held in any case",
        ),
        "kind": ChoiceField(
            JOB_KINDS,
            default="split",
            help_text="collateral into pairs, pairs into collateral, or what a resolved market pays",
        ),
        "createdAt": CharField(
            required=False,
            help_text="from when its expiry runs; ISO 8601 with its time zone, or milliseconds since 1970",
        ),
    },
)
TRANSACTION = inline_serializer(
    "MintTransaction",
    {
        "id": IntegerField(),
        "kind": ChoiceField(TRANSACTION_KINDS),
        "status": ChoiceField(TRANSACTION_STATES),
        "nonce": IntegerField(),
        "wallet": CharField(),
        "transactionId": CharField(help_text="the relayer's id, or the hash"),
        "transactionHash": CharField(),
        "cost": Plain(help_text="what the wallet paid for gas, in POL; 0 when relayed"),
        "explorerUrl": absent(CharField),
        "submits": IntegerField(help_text="how often its bytes were submitted"),
        "reason": CharField(),
    },
    allow_null=True,
    help_text="the one that carries it, or last did",
)
JOB = inline_serializer(
    "MintJob",
    {
        "id": IntegerField(),
        "kind": ChoiceField(JOB_KINDS),
        "cause": ChoiceField(JOB_CAUSES),
        "status": ChoiceField(JOB_STATES),
        "assetId": CharField(),
        "conditionId": CharField(),
        "question": CharField(),
        "outcome": CharField(),
        "size": Plain(help_text="of each outcome; of a redemption, of both together"),
        "doneSize": Plain(help_text="what earlier transactions have done of it"),
        "reason": CharField(help_text="why it waits or failed, in words"),
        "attempts": IntegerField(help_text="how often in a row it was put off"),
        "reverts": IntegerField(help_text="transactions of it that failed on the chain"),
        "createdAt": DateTimeField(),
        "askedAt": DateTimeField(help_text="from when its expiry runs"),
        "nextAttemptAt": absent(DateTimeField),
        "closedAt": absent(DateTimeField),
        "fillId": absent(IntegerField),
        "tradeId": absent(IntegerField),
        "stateKey": absent(CharField),
        "transaction": TRANSACTION,
    },
)
JOBS = page_of("MintJobs", JOB)
