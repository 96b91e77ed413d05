"""Exports of further tools, made from the invented agency by each tool's documented columns."""

import datetime as dt
from pathlib import Path

import pandas as pd

EXPORTS = Path(__file__).parent / "exports"
MONTH = pd.DateOffset(months=1)
CUTOFF = pd.Timestamp(2025, 9, 30)


def _agency() -> pd.DataFrame:
    rows = pd.read_csv(EXPORTS / "truth/clients.csv", parse_dates=["start_date", "end_date"])
    return rows.assign(number=range(len(rows)))


def _epoch(day: pd.Timestamp) -> str:
    return "" if pd.isna(day) else str(int((day + pd.Timedelta(hours=9)).timestamp()))


def _utc(day: pd.Timestamp) -> str:
    return "" if pd.isna(day) else f"{day:%Y-%m-%d} 09:00:00 UTC"


def chargebee() -> pd.DataFrame:
    """Epoch seconds, cents, some billed yearly, one in its trial and one who left within it."""
    rows = []
    for row in _agency().itertuples():
        yearly = row.contract_term_months == 12 and row.number % 2
        gone = row.end_date + pd.Timedelta(days=1)
        state = "cancelled" if pd.notna(row.end_date) else "active"
        state = "non_renewing" if state == "active" and row.number % 5 == 0 else state
        rows.append(
            {
                "subscription_id": f"s{row.number}",
                "customer_id": row.client_id,
                "customer_company": row.name,
                "status": state,
                "plan_amount": int(row.monthly_ad_spend * 100 * (12 if yearly else 1)),
                "billing_period": 1,
                "billing_period_unit": "year" if yearly else "month",
                "started_at": _epoch(row.start_date - pd.Timedelta(days=14)),
                "trial_start": _epoch(row.start_date - pd.Timedelta(days=14)),
                "trial_end": _epoch(row.start_date),
                "activated_at": _epoch(row.start_date),
                "current_term_start": "",
                "current_term_end": _epoch(CUTOFF + MONTH),
                "cancelled_at": _epoch(gone),
                "cf_contract_term": row.contract_term_months,
            }
        )
    trying = rows[0] | {"customer_id": "t1", "status": "in_trial", "activated_at": ""}
    quitter = rows[0] | {"customer_id": "t2", "status": "cancelled", "activated_at": ""}
    quitter |= {"cancelled_at": _epoch(pd.Timestamp(2024, 11, 10))}
    return pd.DataFrame([*rows, trying, quitter])


def recurly() -> pd.DataFrame:
    """`canceled_at` is the request; who has given notice is canceled and pays on."""
    rows = []
    for row in _agency().itertuples():
        ended = pd.notna(row.end_date)
        notice = not ended and row.number % 4 == 0
        expires = row.end_date + pd.Timedelta(days=1) if ended else CUTOFF + MONTH
        rows.append(
            {
                "account_code": row.client_id,
                "account_company_name": row.name,
                "state": "expired" if ended else "canceled" if notice else "active",
                "unit_amount": f"{row.monthly_ad_spend / 2:.2f}",
                "quantity": 2,
                "plan_interval_length": 1,
                "plan_interval_unit": "months",
                "activated_at": _utc(row.start_date),
                "canceled_at": _utc(expires - pd.Timedelta(days=28)) if ended or notice else "",
                "expires_at": _utc(expires) if ended or notice else "",
                "trial_ends_at": "",
            }
        )
    return pd.DataFrame([*rows, rows[0] | {"account_code": "f", "state": "failed"}])


def _bills() -> pd.DataFrame:
    """An invoice for each month of service begun by the cut-off."""
    rows = []
    for row in _agency().itertuples():
        last = min(row.end_date if pd.notna(row.end_date) else CUTOFF, CUTOFF)
        months = 0
        while (day := row.start_date + months * MONTH) <= last:
            rows.append({"name": row.name, "day": day, "amount": row.monthly_ad_spend})
            months += 1
    return pd.DataFrame(rows).assign(number=lambda r: [f"INV-{i:04}" for i in range(len(r))])


def xero() -> pd.DataFrame:
    """Two lines an invoice, each with its total; the day first; a draft and a voided one."""
    rows = [
        {
            "ContactName": bill.name,
            "EmailAddress": "",
            "InvoiceNumber": bill.number,
            "InvoiceDate": f"{bill.day:%d/%m/%Y}",
            "DueDate": f"{bill.day + pd.Timedelta(days=14):%d/%m/%Y}",
            "Total": f"{bill.amount:.2f}",
            "LineAmount": f"{bill.amount / 2:.2f}",
            "Status": "Paid",
            "Type": "Sales invoice",
        }
        for bill in _bills().itertuples()
        for _ in range(2)
    ]
    draft = rows[0] | {"ContactName": "Nobody", "InvoiceNumber": "D1", "Status": "Draft"}
    return pd.DataFrame([*rows, draft, draft | {"InvoiceNumber": "D2", "Status": "Voided"}])


def freshbooks() -> pd.DataFrame:
    """A line an item; ISO dates."""
    return pd.DataFrame(
        {
            "Client Name": bill.name,
            "Invoice #": bill.number,
            "Date Issued": f"{bill.day:%Y-%m-%d}",
            "Invoice Status": "paid",
            "Date Paid": f"{bill.day + pd.Timedelta(days=9):%Y-%m-%d}",
            "Item Name": item,
            "Rate": bill.amount / 2,
            "Quantity": 1,
            "Line Subtotal": bill.amount / 2,
            "Line Total": bill.amount / 2,
            "Currency": "USD",
        }
        for bill in _bills().itertuples()
        for item in ("Retainer", "Media")
    )


def _entries() -> pd.DataFrame:
    path = next((EXPORTS / "harvest").iterdir())
    rows = pd.read_csv(path)
    return rows.assign(person=rows["First Name"] + " " + rows["Last Name"])


def _clock(hours: float) -> str:
    return str(dt.timedelta(hours=hours)).zfill(8)


def toggl() -> pd.DataFrame:
    """Durations as h:mm:ss; the agency's own time has no client."""
    rows = _entries()
    made = pd.DataFrame(
        {
            "User": rows["person"],
            "Email": "",
            "Client": rows["Client"],
            "Project": rows["Project"],
            "Description": "",
            "Billable": "Yes",
            "Start date": rows["Date"],
            "Start time": "09:00:00",
            "Duration": rows["Hours"].map(_clock),
        }
    )
    return pd.concat([made, made.head(3).assign(Client="")])


def clockify() -> pd.DataFrame:
    """The month first; hours both as h:mm:ss and decimal."""
    rows = _entries()
    return pd.DataFrame(
        {
            "Project": rows["Project"],
            "Client": rows["Client"],
            "Description": "",
            "User": rows["person"],
            "Billable": "Yes",
            "Start Date": pd.to_datetime(rows["Date"]).dt.strftime("%m/%d/%Y"),
            "Duration (h)": rows["Hours"].map(_clock),
            "Duration (decimal)": rows["Hours"],
        }
    )


def pipedrive() -> pd.DataFrame:
    """Deals of new business and renewals, told by a label."""
    deals = pd.read_csv(next((EXPORTS / "hubspot_deals").iterdir()))
    status = deals["Deal Stage"].map({"Closed Won": "Won", "Closed Lost": "Lost"}).fillna("Open")
    return pd.DataFrame(
        {
            "Deal - ID": deals["Record ID"],
            "Deal - Title": deals["Deal Name"],
            "Deal - Organization": deals["Associated Company"],
            "Deal - Status": status,
            "Deal - Label": deals["Deal Type"].map({"existingbusiness": "Renewal"}),
            "Deal - Deal created": deals["Create Date"],
            "Deal - Won time": deals["Close Date"].where(status == "Won"),
            "Deal - Value": deals["Amount"],
        }
    )


def typeform() -> pd.DataFrame:
    """Answers with a hidden field for the company."""
    rows = pd.read_csv(EXPORTS / "delighted/delighted_responses.csv")
    day = pd.to_datetime(rows["created_at"], unit="s").dt.strftime("%Y-%m-%d %H:%M:%S")
    return pd.DataFrame(
        {
            "#": rows["id"],
            "How likely are you to recommend us?": rows["score"],
            "What is the main reason for your score?": rows["comment"],
            "company": rows["company"],
            "Start Date (UTC)": day,
            "Submit Date (UTC)": day,
            "Network ID": "x",
        }
    )


def metaads() -> pd.DataFrame:
    """Spend by account and month, with a row of the sum that names no account."""
    path = EXPORTS / "googleads/Account report.csv"
    rows = pd.read_csv(path, skiprows=2)
    rows = rows[~rows["Month"].str.startswith("Total")]
    first = pd.to_datetime(rows["Month"])
    made = pd.DataFrame(
        {
            "Account name": rows["Account name"],
            "Amount spent (USD)": rows["Cost"].str.replace(",", ""),
            "Impressions": rows["Impr."],
            "Reporting starts": first.dt.strftime("%Y-%m-%d"),
            "Reporting ends": (first + pd.offsets.MonthEnd()).dt.strftime("%Y-%m-%d"),
        }
    )
    total = {
        "Account name": "",
        "Amount spent (USD)": "5627250.71",
        "Reporting starts": "2021-01-01",
    }
    return pd.concat([pd.DataFrame([total]), made])


def jira() -> pd.DataFrame:
    """Issues with the client in a field of one's own."""
    rows = pd.read_csv(EXPORTS / "asana/Client requests.csv")
    days = {
        name: pd.to_datetime(rows[name]).dt.strftime("%d/%b/%y 9:12 AM")
        for name in ("Created At", "Completed At")
    }
    section = rows["Section/Column"]
    return pd.DataFrame(
        {
            "Issue key": rows["Task ID"].map(lambda n: f"REQ-{n % 1000}"),
            "Summary": rows["Name"],
            "Issue Type": section.where(section == "Revision", "Task"),
            "Status": "Done",
            "Created": days["Created At"],
            "Resolved": days["Completed At"],
            "Labels": section.where(section != "Out of scope", "out-of-scope").where(
                section == "Out of scope", ""
            ),
            "Custom field (Client)": rows["Projects"],
        }
    )


def baremetrics() -> pd.DataFrame:
    """Cents, as the import guide asks for; some by the year; the first day without service."""
    rows = []
    for row in _agency().itertuples():
        yearly = row.contract_term_months == 12 and row.number % 2
        rows.append(
            {
                "plan_oid": f"plan_{row.number}",
                "plan_name": "Retainer",
                "plan_currency": "USD",
                "plan_amount": int(row.monthly_ad_spend * 100 * (12 if yearly else 1)),
                "plan_interval": "year" if yearly else "month",
                "plan_interval_count": 1,
                "customer_oid": row.client_id,
                "customer_name": row.name,
                "customer_email": f"info@{row.client_id}.example",
                "subscription_oid": f"s{row.number}",
                "subscription_started_at": _iso(row.start_date),
                "subscription_canceled_at": _iso(row.end_date + pd.Timedelta(days=1)),
            }
        )
    return pd.DataFrame(rows)


def _iso(day: pd.Timestamp) -> str:
    return "" if pd.isna(day) else f"{day:%Y-%m-%d}"


def profitwell() -> pd.DataFrame:
    """A row a customer: its last end, what it paid in all; MRR is today's. A trial is no client."""
    rows = []
    for row in _agency().drop_duplicates("client_id").itertuples():
        gone = pd.notna(row.end_date)
        until = row.end_date if gone else CUTOFF
        months = -(-((until - row.start_date).days + 1) // 30.4375)
        rows.append(
            {
                "Customer ID": row.client_id,
                "Company": row.name,
                "Email": "",
                "Plans": "Retainer",
                "MRR": 0 if gone else row.monthly_ad_spend,
                "Status": "churned_voluntary" if gone else "active",
                "Created On": _iso(row.start_date - pd.Timedelta(days=20)),
                "Activated On": _iso(row.start_date),
                "Churned On": _iso(row.end_date + pd.Timedelta(days=1)),
                "Total Spend": f"{months * row.monthly_ad_spend:.2f}",
            }
        )
    trial = rows[0] | {"Customer ID": "t", "Status": "churned_trial"}
    return pd.DataFrame([*rows, trial])


def asknicely() -> pd.DataFrame:
    """Seconds since 1970; two invitations that nobody answered."""
    rows = pd.read_csv(EXPORTS / "delighted/delighted_responses.csv")
    made = pd.DataFrame(
        {
            "response_id": rows["id"],
            "name": rows["name"],
            "email": rows["email"],
            "answer": rows["score"].astype(str),
            "answerlabel": "",
            "comment": rows["comment"],
            "note": "",
            "sent": (rows["created_at"] - 86_400).astype(str),
            "opened": "",
            "responded": rows["created_at"].astype(str),
            "segment": "",
            "question_type": "nps",
            "company_c": rows["company"],
        }
    )
    silent = made.head(2).assign(answer="", comment="", responded="")
    return pd.concat([made, silent])


def chartmogul_subscriptions() -> pd.DataFrame:
    """MRR in cents; the end date of those who stay is their next renewal."""
    return pd.DataFrame(
        {
            "CUSTOMER_UUID": f"cus_{row.client_id}",
            "CUSTOMER_EXTERNAL_IDS": row.client_id,
            "CUSTOMER_NAME": row.name,
            "CUSTOMER_EMAIL": "",
            "PLAN_NAME": "Retainer",
            "QUANTITY": 1,
            "MRR": int(row.monthly_ad_spend * 100),
            "ARR": int(row.monthly_ad_spend * 1200),
            "CURRENCY": "USD",
            "INTERVAL_UNIT": "month",
            "INTERVAL_COUNT": 1,
            "STATUS": "Cancelled" if pd.notna(row.end_date) else "Active",
            "START_DATE": f"{row.start_date:%Y-%m-%d}T09:00:00.000Z",
            "END_DATE": _iso(
                row.end_date + pd.Timedelta(days=1) if pd.notna(row.end_date) else CUTOFF + MONTH
            ),
        }
        for row in _agency().itertuples()
    )


def chartmogul_intervals() -> pd.DataFrame:
    """Each engagement as two intervals, after a trial; of those who stay without an end."""
    rows = []
    for row in _agency().itertuples():
        middle = row.start_date + pd.Timedelta(days=20)
        after = row.end_date + pd.Timedelta(days=1)
        paid = {"CUSTOMER_UUID": row.name, "MRR": int(row.monthly_ad_spend * 100)}
        for first, last, trial in (
            (row.start_date - pd.Timedelta(days=14), row.start_date, True),
            (row.start_date, middle, False),
            (middle, after, False),
        ):
            interval = {"START_DATE": _iso(first), "END_DATE": _iso(last)}
            kind = {"PLAN_UUID": "p", "QUANTITY": 1, "IS_FREE": False, "IS_TRIAL": trial}
            rows.append(paid | interval | kind | ({"MRR": 0} if trial else {}))
    return pd.DataFrame(rows)


def chartmogul_customers() -> pd.DataFrame:
    """A row a customer with the day of cancelling and what was paid in all."""
    rows = profitwell()
    return pd.DataFrame(
        {
            "UUID": rows["Customer ID"],
            "NAME": rows["Company"],
            "COMPANY": rows["Company"],
            "STATUS": rows["Status"].map({"active": "Active", "churned_voluntary": "Cancelled"}),
            "MRR": rows["MRR"].astype(int) * 100,
            "ARR": rows["MRR"].astype(int) * 1200,
            "CURRENCY": "USD",
            "NET_PAYMENTS": rows["Total Spend"].astype(float).astype(int) * 100,
            "SUBSCRIBER_SINCE": rows["Activated On"],
            "CANCELLED_AT": rows["Churned On"],
        }
    ).dropna(subset=["STATUS"])


REPORT_FOOT = """

"Confidential Information - Do Not Distribute"
"Copyright (c) 2000-2025 salesforce.com, inc. All rights reserved."
"Client report","Generated by Dana Wu 9/30/2025 5:12 PM","Example Agency"
"""


def salesforce_report() -> pd.DataFrame:
    """Accounts with fields of the agency's own, the month first."""
    rows = _agency().drop_duplicates("client_id")

    def us(days: pd.Series) -> pd.Series:
        parts = days.dt.month.astype("Int64").astype("string") + "/"
        return parts + days.dt.strftime("%d/%Y").str.lstrip("0")

    return pd.DataFrame(
        {
            "Account Name": rows["name"],
            "Account Owner": rows["rep_id"],
            "Type": "Customer",
            "Industry": rows["industry"],
            "Created Date": us(rows["start_date"] - pd.Timedelta(days=30)),
            "Client Start Date": us(rows["start_date"]),
            "Churn Date": us(rows["end_date"]),
            "Contract Term": rows["contract_term_months"],
            "Monthly Ad Spend": rows["monthly_ad_spend"].map("USD {:,.2f}".format),
            "Last Activity": "9/29/2025",
        }
    )


def stripe_payments() -> pd.DataFrame:
    """A payment for each month of service, and one that failed."""
    bills = _bills()
    made = pd.DataFrame(
        {
            "id": "ch_" + bills["number"],
            "Created date (UTC)": bills["day"].dt.strftime("%Y-%m-%d 10:00:00"),
            "Amount": bills["amount"].map("{:.2f}".format),
            "Amount Refunded": "0.00",
            "Currency": "usd",
            "Captured": "TRUE",
            "Status": "Paid",
            "Customer ID": bills["name"],
            "Customer Email": "",
            "Invoice ID": bills["number"],
        }
    )
    failed = made.head(1).assign(Status="Failed", **{"Customer ID": "Never Paid"})
    return pd.concat([made, failed])


def linkedinads() -> pd.DataFrame:
    """Spend by account and month; an account that spent nothing."""
    rows = metaads().iloc[1:]
    made = pd.DataFrame(
        {
            "Start Date (in UTC)": rows["Reporting starts"],
            "Account Name": rows["Account name"],
            "Currency": "USD",
            "Total Spent": rows["Amount spent (USD)"],
            "Impressions": rows["Impressions"],
            "Clicks": "7",
        }
    )
    return pd.concat([made, made.head(1).assign(**{"Total Spent": "0.00"})])


def everhour() -> pd.DataFrame:
    """Time as h:mm; the agency's own time has no client; a row of the total."""
    rows = _entries()
    made = pd.DataFrame(
        {
            "Date": rows["Date"],
            "Member": rows["person"],
            "Client": rows["Client"],
            "Project": rows["Project"],
            "Task": "",
            "Time": rows["Hours"].map(_clock),
        }
    )
    total = {"Date": "", "Member": "", "Client": "", "Project": "", "Time": "999:00:00"}
    return pd.concat([made, made.head(2).assign(Client=""), pd.DataFrame([total])])


def zendesk() -> pd.DataFrame:
    """Tickets with their organization; of one nobody knows whose it is."""
    rows = jira()
    days = {
        name: pd.to_datetime(rows[name], format="%d/%b/%y %I:%M %p").dt.strftime("%Y-%m-%d %H:%M")
        for name in ("Created", "Resolved")
    }
    made = pd.DataFrame(
        {
            "Id": range(1, len(rows) + 1),
            "Requester": "Somebody",
            "Requester email": "",
            "Subject": rows["Summary"],
            "Status": "Closed",
            "Created at": days["Created"],
            "Solved at": days["Resolved"],
            "Organization": rows["Custom field (Client)"],
        }
    )
    return pd.concat([made, made.head(1).assign(Organization="")])


MADE = {
    "chargebee.csv": chargebee,
    "recurly.csv": recurly,
    "xero.csv": xero,
    "freshbooks.csv": freshbooks,
    "toggl.csv": toggl,
    "clockify.csv": clockify,
    "pipedrive.csv": pipedrive,
    "typeform.csv": typeform,
    "metaads.csv": metaads,
    "jira.csv": jira,
    "baremetrics.csv": baremetrics,
    "profitwell.csv": profitwell,
    "asknicely.csv": asknicely,
    "chartmogul_subscriptions.csv": chartmogul_subscriptions,
    "chartmogul_intervals.csv": chartmogul_intervals,
    "chartmogul_customers.csv": chartmogul_customers,
    "report.csv": salesforce_report,
    "payments.csv": stripe_payments,
    "linkedinads.csv": linkedinads,
    "everhour.csv": everhour,
    "zendesk.csv": zendesk,
}
FEET = {"report.csv": REPORT_FOOT}  # what stands below the rows
