"""The input tables, declared once: what each column holds, its unit, when it is known and what it unlocks.

`known` is "signing", or the date column of the same row from which the value may be used. Everything that reads,
checks, documents or joins the data asks this module and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

SIGNING = "signing"
INITIATORS = ("client", "agency", "neutral")
END_REASONS = (
    *("price", "results", "rep", "expectations", "budget", "in-housed", "closed"),
    *("unprofitable", "abuse", "non-payment", "fit", "finished", "other"),
)
ROLES = ("seller", "rep", "analyst", "manager")
MEETING_KINDS = ("kickoff", "call", "report", "visit", "event")


@dataclass(frozen=True)
class Column:
    """One column: its name, kind (id, text, category, date, month, integer, number, flag), and what it means.

    `low` and `high` are inclusive bounds in `unit`; `choices` is a closed vocabulary.
    """

    name: str
    kind: str
    known: str
    unlocks: str
    unit: str = ""
    required: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One table: what a row is, the columns that make a row unique, and what having the table answers."""

    name: str
    row: str
    key: tuple[str, ...]
    unlocks: str
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column:
        """The declaration of one column; KeyError where the table has none of that name.

        >>> TABLES["clients"].column("end_date").known
        'recorded_date'
        """
        return {column.name: column for column in self.columns}[name]

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns without which the table cannot be read."""
        return tuple(column.name for column in self.columns if column.required)


def _flags(names: str, known: str, unlocks: str) -> tuple[Column, ...]:
    return tuple(Column(name, "flag", known, unlocks) for name in names.split())


_SIGNING_FLAGS = _flags(
    "written_brief budget_set deposit_paid prepaid purchase_order marketing_experience research_supplied rush "
    "one_off estimate_signed timeline_agreed",
    SIGNING,
    "red flags and tiers at signing (D6, D7, D10)",
)
_SIGNING = (
    *_SIGNING_FLAGS,
    Column("approval_layers", "integer", SIGNING, "known approval layers (D10)", "layers", low=0),
    *_flags("single_contact champion", SIGNING, "who holds the relation (C6, D8, D11)"),
)
_ENDS = "recorded_date"
_MONEY = "currency"
_PERCENT = "percent of ad spend"

_CLIENTS = Table(
    "clients",
    "one engagement; a client who comes back has another row",
    ("client_id", "start_date"),
    "the contract-term and size studies (A1, A2, A4, A5)",
    (
        Column("client_id", "id", SIGNING, "everything", required=True),
        Column("start_date", "date", SIGNING, "everything", required=True),
        Column("end_date", "date", _ENDS, "everything (last paid day; blank: still a client)", required=True),
        Column(
            "contract_term_months",
            "integer",
            SIGNING,
            "contract term (A1, A2); 1 is month-to-month",
            "months",
            True,
            1,
            120,
        ),
        Column(
            "monthly_ad_spend",
            "number",
            SIGNING,
            "size at signing (A4, A5, D1); any size measure",
            _MONEY,
            True,
            0,
        ),
        Column("name", "text", SIGNING, "names on lists instead of ids"),
        Column("industry", "category", SIGNING, "like-for-like comparison"),
        Column("source", "category", SIGNING, "referrals against cold calls (C3)"),
        Column("referred_by", "id", SIGNING, "referral chains (C3)"),
        Column("seller_id", "id", SIGNING, "differences between sellers (A7)"),
        Column("rep_id", "id", SIGNING, "differences between reps (C5)"),
        Column("fee_pct", "number", SIGNING, "the fee table (A2)", _PERCENT, low=0, high=100),
        Column(
            "discount_pct",
            "number",
            SIGNING,
            "clients signed on promotion",
            "percent of fee",
            low=0,
            high=100,
        ),
        Column("acquisition_cost", "number", SIGNING, "months to pay back (B7)", _MONEY, low=0),
        Column("remote", "flag", SIGNING, "visits to remote clients (C8)"),
        Column("promised_result", "number", SIGNING, "the gap between promise and result (A8)"),
        Column("decision_date", "date", _ENDS, "hazards by the day notice was received"),
        Column("recorded_date", "date", _ENDS, "runs as of an earlier day"),
        Column("end_initiator", "category", _ENDS, "whose choice the end was (A1, D2)", choices=INITIATORS),
        Column("end_reason", "category", _ENDS, "reasons for leaving", choices=END_REASONS),
        *_SIGNING,
    ),
)

_CONTRACTS = Table(
    "contracts",
    "one contract term",
    ("client_id", "term_start"),
    "the current term beside the term at signing, and real renewal dates (A1, A3)",
    (
        Column("client_id", "id", "signed_on", "terms by client", required=True),
        Column("signed_on", "date", "signed_on", "when the term was agreed", required=True),
        Column("term_start", "date", "signed_on", "renewal dates", required=True),
        Column("term_months", "integer", "signed_on", "renewal dates", "months", True, 1, 120),
        Column("fee_pct", "number", "signed_on", "fees by term (A2)", _PERCENT, low=0, high=100),
        Column("notice_days", "integer", "signed_on", "the day of decision", "days", low=0, high=730),
        Column("auto_renew", "flag", "signed_on", "terms that roll over"),
    ),
)

_OTHERS = (
    Table(
        "account_months",
        "a client and month",
        ("client_id", "month"),
        "spend and fee over time, net revenue retention (A4, B3, D3)",
        (
            Column("client_id", "id", "recorded_at", "join", required=True),
            Column("month", "month", "recorded_at", "join", required=True),
            Column("ad_spend", "number", "recorded_at", "spend over time", _MONEY, low=0),
            Column("fee", "number", "recorded_at", "revenue and margin", _MONEY),
            Column("recorded_at", "date", "recorded_at", "as-of joins"),
        ),
    ),
    Table(
        "results",
        "a client, month and metric",
        ("client_id", "month", "metric"),
        "results against target beside liking (A6, A8)",
        (
            Column("client_id", "id", "recorded_at", "join", required=True),
            Column("month", "month", "recorded_at", "join", required=True),
            Column("metric", "category", "recorded_at", "which result", required=True),
            Column("value", "number", "recorded_at", "results", required=True),
            Column("target", "number", "recorded_at", "results against target"),
            Column("recorded_at", "date", "recorded_at", "as-of joins"),
        ),
    ),
    Table(
        "surveys",
        "one invitation to a survey",
        ("client_id", "invited_on"),
        "liking of the rep and NPS (A6, A10, C1 to C5)",
        (
            Column("client_id", "id", "invited_on", "join", required=True),
            Column("invited_on", "date", "invited_on", "response rates", required=True),
            Column("answered_on", "date", "answered_on", "who answered (blank: no answer)", required=True),
            Column("nps", "integer", "answered_on", "NPS (A10, C1)", "points", low=0, high=10),
            Column("rep_liking", "number", "answered_on", "liking of the rep (A6)", "points"),
            Column("respondent_role", "category", "answered_on", "buyer or daily contact"),
            Column("rep_id", "id", "invited_on", "liking per rep (C5)"),
            Column("reason", "text", "answered_on", "reasons on the care list (C4)"),
        ),
    ),
    Table(
        "staff",
        "a person who works at the agency",
        ("staff_id",),
        "names, salaries and quotas of reps and sellers (A7, B4 to B6)",
        (
            Column("staff_id", "id", "started_on", "join", required=True),
            Column("name", "text", "started_on", "names on lists"),
            Column("role", "category", "started_on", "who does what", required=True, choices=ROLES),
            Column("started_on", "date", "started_on", "experience"),
            Column("ended_on", "date", "ended_on", "who left"),
            Column("monthly_salary", "number", "started_on", "bonuses (B4 to B6)", _MONEY, low=0),
            Column("hourly_cost", "number", "started_on", "margin (D3)", "currency an hour", low=0),
            Column("quota", "number", "started_on", "the seller rule (B4)", "deals a month", low=0),
            Column("commission_pct", "number", "started_on", "the seller rule (B4)", "percent", low=0, high=100),
            Column("trained_on", "date", "trained_on", "training as a remedy (A7)"),
        ),
    ),
    Table(
        "assignments",
        "who served whom, from when to when",
        ("client_id", "staff_id", "from_date"),
        "changes of rep, load, accounts held by one person (C4 to C6)",
        (
            Column("client_id", "id", "recorded_at", "join", required=True),
            Column("staff_id", "id", "recorded_at", "join", required=True),
            Column("role", "category", "recorded_at", "who does what", choices=ROLES),
            Column("from_date", "date", "recorded_at", "who served when", required=True),
            Column("to_date", "date", "recorded_at", "who served when", required=True),
            Column("recorded_at", "date", "recorded_at", "as-of joins"),
        ),
    ),
    Table(
        "hours",
        "a client, person and month",
        ("client_id", "staff_id", "month"),
        "effective margin and load (C6, D3)",
        (
            Column("client_id", "id", "recorded_at", "join", required=True),
            Column("staff_id", "id", "recorded_at", "join", required=True),
            Column("month", "month", "recorded_at", "join", required=True),
            Column("hours", "number", "recorded_at", "cost of service", "hours", True, 0, 744),
            Column("recorded_at", "date", "recorded_at", "as-of joins"),
        ),
    ),
    Table(
        "requests",
        "one request from a client",
        (),
        "out-of-scope work, response time, revisions (C9, D4, D9)",
        (
            Column("client_id", "id", "requested_on", "join", required=True),
            Column("requested_on", "date", "requested_on", "request counts", required=True),
            Column("answered_on", "date", "answered_on", "response time (D9)"),
            *_flags("in_scope billed revision", "requested_on", "free and repeated work (C9, D7)"),
            Column("amount", "number", "requested_on", "what changes earn (D4)", _MONEY, low=0),
            Column("hours", "number", "requested_on", "what free work costs (C9)", "hours", low=0),
        ),
    ),
    Table(
        "invoices",
        "one invoice",
        ("invoice_id",),
        "late payers and arrears (D5, D8)",
        (
            Column("invoice_id", "id", "issued_on", "join", required=True),
            Column("client_id", "id", "issued_on", "join", required=True),
            Column("issued_on", "date", "issued_on", "days to pay", required=True),
            Column("due_on", "date", "issued_on", "days late", required=True),
            Column("amount", "number", "issued_on", "arrears", _MONEY, True),
        ),
    ),
    Table(
        "payments",
        "one payment of an invoice; part payments count",
        (),
        "late payers and arrears (D5, D8)",
        (
            Column("invoice_id", "id", "paid_on", "join", required=True),
            Column("paid_on", "date", "paid_on", "days to pay", required=True),
            Column("amount", "number", "paid_on", "arrears", _MONEY, True),
        ),
    ),
    Table(
        "meetings",
        "one meeting with a client",
        (),
        "calls, reports, visits and recaps against leaving (C7, C8)",
        (
            Column("client_id", "id", "held_on", "join", required=True),
            Column("held_on", "date", "held_on", "time since contact", required=True),
            Column("kind", "category", "held_on", "calls and visits", required=True, choices=MEETING_KINDS),
            Column("recap_sent", "flag", "held_on", "written recaps (C7)"),
        ),
    ),
    Table(
        "flags",
        "something noted about a client, when it was noted",
        (),
        "red flags, kinds to avoid, hopeless causes (D7, D8, D11)",
        (
            Column("client_id", "id", "noted_on", "join", required=True),
            Column("noted_on", "date", "noted_on", "flags as of a day", required=True),
            Column("flag", "category", "noted_on", "which flag", required=True),
            Column("severity", "integer", "noted_on", "how bad", "1 to 5", low=1, high=5),
        ),
    ),
    Table(
        "leads",
        "one lead, signed or not",
        ("lead_id",),
        "whom to sign: the spend threshold and close rates by source (A3, C3, D1)",
        (
            Column("lead_id", "id", "created_on", "join", required=True),
            Column("created_on", "date", "created_on", "sign-ups over time", required=True),
            Column("monthly_ad_spend", "number", "created_on", "the spend threshold (D1)", _MONEY, low=0),
            Column("source", "category", "created_on", "close rate by source (C3)"),
            Column("asked_on", "date", "asked_on", "referrals asked for (C3)"),
            Column("quoted_on", "date", "quoted_on", "quotes given (D10)"),
            Column("signed_on", "date", "signed_on", "close rates"),
            Column("client_id", "id", "signed_on", "leads that became clients"),
            *_SIGNING,
        ),
    ),
)

TABLES = {table.name: table for table in (_CLIENTS, _CONTRACTS, *_OTHERS)}


def dictionary(tables: tuple[str, ...] = tuple(TABLES)) -> str:
    """The data dictionary of the named tables as Markdown, one section a table."""
    return "\n".join(_section(TABLES[name]) for name in tables)


def _section(table: Table) -> str:
    head = [f"## {table.name}", "", f"A row is {table.row}. Unlocks {table.unlocks}.", ""]
    rows = ["| column | kind | unit or values | known from | unlocks |", "|---|---|---|---|---|"]
    for column in table.columns:
        star = "*" if column.required else ""
        values = column.unit or ", ".join(column.choices)
        rows.append(f"| {column.name}{star} | {column.kind} | {values} | {column.known} | {column.unlocks} |")
    return "\n".join([*head, *rows, ""])
