"""What leaves the folder of a run: digest, mail, message, workbook, calendar."""

import datetime as dt
import email
import email.policy
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pandas as pd
import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from click.testing import CliRunner
from icalendar import Calendar
from openpyxl import load_workbook

from retention.cli import cli, delivery
from retention.cli.scheduling import MAKERS, timing
from retention.data.schema import read_list, write_csv
from retention.deliver import channel, digest, mail
from retention.deliver.digest import Front
from retention.deliver.owners import file_names
from retention.errors import ConfigError, DeliveryError
from retention.lists.actions import COLUMNS
from retention.lists.calendars import write_calendars
from retention.lists.workbook import write_workbook

CUTOFF = dt.date(2025, 12, 31)
NASTY = "<b>=1+1</b>"
ROWS = pd.DataFrame(
    [
        ["c1", "=SUM(A1)", "save", "may leave", 0.25, 120.5, "Ben Q.", "2026-01-07", "yes", "USD"],
        ["c2", NASTY, "care", "a, b; c\\d", 0.1, -3.0, "Ann O.", "2026-01-21", "no", "USD"],
        ["c3", "Quiet Ltd", "none", "", None, None, "Ann O.", "", "no", "USD"],
    ],
    columns=COLUMNS,
)
FRONT = Front(
    whose="Lark & Field",
    cutoff="2025-12-31",
    run_id="2025-12-31-00000000",
    headline=("5% of last year's clients have left.", "Fees are 10 a month."),
    tiles=[
        {"label": "NPS", "value": "-9", "note": "was -24", "course": "3.0,27.0 60.0,15.0 117.0,3.0"}
    ],
    changes=["No verdict moved."],
    due=[
        {"client": NASTY, "action": "save", "why": "x", "owner": "Ben Q.", "due": "07 Jan 2026"},
        {"client": "B", "action": "care", "why": "y", "owner": "Ann O.", "due": "07 Jan 2026"},
    ],
    active=3,
)


@pytest.fixture()
def run(tmp_path):
    folder = tmp_path / "run"
    (folder / "lists").mkdir(parents=True)
    write_csv(ROWS, folder / "lists" / "actions.csv")
    return folder


# The workbook


def test_workbook_has_typed_cells_and_no_formula(run):
    book = load_workbook(write_workbook(run, CUTOFF))
    sheet = book.worksheets[0]
    heads = [cell.value for cell in sheet[1]]
    row = dict(zip(heads, sheet[2], strict=True))
    assert row["Client"].value == "=SUM(A1)" and row["Client"].data_type == "s"
    assert row["Due"].value.date() == dt.date(2026, 1, 7) and row["Due"].is_date
    assert row["Predicted churn risk"].value == 0.25
    assert row["Predicted churn risk"].number_format == "0.0%"
    assert row["Do"].value == "save"
    assert sheet.freeze_panes == "C2"
    assert sheet.auto_filter.ref == sheet.dimensions


def test_workbook_offers_every_owner(run):
    book = load_workbook(write_workbook(run, CUTOFF))
    sheet = book.worksheets[0]
    offered = sheet.data_validations.dataValidation[0]
    assert offered.formula1 == "owners!$A$1:$A$2"
    assert [cell.value for cell in book["owners"]["A"]] == ["Ann O.", "Ben Q."]
    assert book["owners"].sheet_state == "hidden"
    assert str(offered.sqref) == "G2:G4"


def test_workbook_is_the_same_to_the_byte(run):
    path = write_workbook(run, CUTOFF)
    first = path.read_bytes()
    assert load_workbook(path).properties.modified == dt.datetime(2025, 12, 31)
    assert write_workbook(run, CUTOFF).read_bytes() == first


def test_a_run_without_lists_has_no_workbook_and_no_calendar(tmp_path):
    assert write_workbook(tmp_path, CUTOFF) is None
    assert write_calendars(tmp_path, CUTOFF) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(
    not shutil.which("libreoffice") and "RETENTION_NO_SKIPS" not in os.environ,
    reason="needs LibreOffice: apt-get install libreoffice-calc-nogui",
)
def test_libreoffice_reads_the_workbook(run, tmp_path):
    path = write_workbook(run, CUTOFF)
    profile = f"-env:UserInstallation=file://{tmp_path}/profile"
    command = ["libreoffice", profile, "--headless", "--convert-to", "csv", path]
    subprocess.run([*command, "--outdir", tmp_path], check=True, capture_output=True)
    rows = pd.read_csv(tmp_path / "lists.csv")
    assert list(rows["Client"]) == ["=SUM(A1)", NASTY, "Quiet Ltd"]
    assert list(rows["Due"][:2]) == ["2026-01-07", "2026-01-21"]
    assert list(rows["Predicted churn risk"][:2]) == ["25%", "10%"]


# Calendars


def events(path):
    return {
        str(event["uid"]): event for event in Calendar.from_ical(path.read_bytes()).walk("VEVENT")
    }


def test_calendar_has_a_day_for_each_client_to_act_on(run):
    whole, *own = write_calendars(run, CUTOFF)
    found = {str(event["summary"]): event for event in events(whole).values()}
    assert set(found) == {"save: =SUM(A1)", f"care: {NASTY}"}
    assert found["save: =SUM(A1)"].decoded("dtstart") == dt.date(2026, 1, 7)
    assert str(found[f"care: {NASTY}"]["description"]) == "a, b; c\\d"
    assert [path.name for path in own] == ["ann-o.ics", "ben-q.ics"]
    assert len(events(own[0])) == 1


def test_a_later_run_moves_an_event_and_cancels_what_is_done(run, tmp_path):
    old = events(write_calendars(run, CUTOFF)[0])
    later = tmp_path / "later"
    (later / "lists").mkdir(parents=True)
    rows = read_list(run / "lists" / "actions.csv", ("risk", "margin_a_month"))
    rows.loc[rows["client_id"] == "c1", "due"] = "2026-02-09"
    rows.loc[rows["client_id"] == "c2", ["do", "due"]] = ["none", ""]
    write_csv(rows, later / "lists" / "actions.csv")
    new = events(write_calendars(later, dt.date(2026, 1, 31), run)[0])
    assert set(new) == set(old)
    states = {str(event["summary"]): str(event["status"]) for event in new.values()}
    assert states == {"save: =SUM(A1)": "CONFIRMED", f"care: {NASTY}": "CANCELLED"}
    assert all(new[uid]["sequence"] > old[uid]["sequence"] for uid in old)


def test_a_client_who_passes_to_another_leaves_the_first_owner_s_calendar(run, tmp_path):
    later = tmp_path / "later"
    (later / "lists").mkdir(parents=True)
    rows = read_list(run / "lists" / "actions.csv", ("risk", "margin_a_month"))
    rows.loc[rows["client_id"] == "c1", "owner"] = "Ann O."
    write_csv(rows, later / "lists" / "actions.csv")
    whole, ann, ben = write_calendars(later, CUTOFF, run)
    assert [str(event["status"]) for event in events(ben).values()] == ["CANCELLED"]
    assert {str(event["status"]) for event in events(ann).values()} == {"CONFIRMED"}
    assert {str(event["status"]) for event in events(whole).values()} == {"CONFIRMED"}


# The digest


def test_digest_is_small_safe_and_whole(tmp_path):
    digest.write_digests(tmp_path, FRONT)
    html = (tmp_path / "digest.html").read_text("utf-8")
    assert len(html.encode()) < 100_000
    assert "<script" not in html and "<style" not in html and "<svg" not in html
    assert NASTY not in html and "&lt;b&gt;" in html
    assert re.findall(r'src="(?!data:image/png;base64,)', html) == []
    assert all("alt=" in tag for tag in re.findall(r"<img[^>]*>", html))
    text = (tmp_path / "digest.txt").read_text("utf-8")
    for words in (*FRONT.headline, "NPS: -9", NASTY, "Due this week: 2 clients", "index.html"):
        assert words in text
    assert {path.name for path in (tmp_path / "digests").iterdir()} == {
        "ann-o.html",
        "ann-o.txt",
        "ben-q.html",
        "ben-q.txt",
    }
    assert NASTY not in (tmp_path / "digests" / "ann-o.txt").read_text("utf-8")


# Mail, against a server


class Kept:
    """Keeps what the server takes; refuses one address."""

    def __init__(self):
        self.mails = []

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.rcpt_tos, envelope.content, bool(session.ssl)))
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"user", b"secret"))


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture()
def smtp(authority, monkeypatch, tmp_path):
    """A server on this machine that wants STARTTLS and a password."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    handler = Kept()

    class Strict(Controller):
        def factory(self):
            return SMTP(
                handler,
                hostname="localhost",
                require_starttls=True,
                tls_context=context,
                auth_required=True,
                authenticator=authenticate,
            )

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Strict(handler, hostname="localhost", port=port)
    controller.start()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    for name, value in {
        "HOST": "localhost",
        "PORT": str(port),
        "FROM": "Reports <reports@example.com>",
        "USER": "user",
        "PASSWORD": "secret",
    }.items():
        monkeypatch.setenv(f"RETENTION_SMTP_{name}", value)
    yield handler
    controller.stop()


def sent(handler):
    return [
        (to, email.message_from_bytes(content, policy=email.policy.default), encrypted)
        for to, content, encrypted in handler.mails
    ]


def test_the_digest_arrives_encrypted_with_its_pictures(smtp):
    server = mail.server_from(os.environ)
    mail.send([mail.message(FRONT, server.sender, "ops@example.com", "https://x.example")], server)
    ((to, got, encrypted),) = sent(smtp)
    assert to == ["ops@example.com"] and encrypted
    assert got["subject"] == "Retention, Lark & Field, to 2025-12-31: 2 clients due this week"
    html = got.get_body(("html",)).get_content()
    (cid,) = re.findall(r'src="cid:([^"]+)"', html)
    pictures = {
        part["content-id"]: part for part in got.walk() if part.get_content_type() == "image/png"
    }
    assert pictures[f"<{cid}>"].get_content().startswith(b"\x89PNG")
    assert "data:image" not in html and 'href="https://x.example"' in html
    assert NASTY in got.get_body(("plain",)).get_content()


def test_a_server_that_nobody_vouches_for_gets_nothing(smtp, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    server = mail.server_from(os.environ)
    with pytest.raises(DeliveryError, match="localhost did not take the mail"):
        mail.send([mail.failure("stopped", server.sender, "ops@example.com")], server)
    assert smtp.mails == []


def test_a_wrong_password_is_told_and_not_shown(smtp, monkeypatch):
    monkeypatch.setenv("RETENTION_SMTP_PASSWORD", "hunter2")
    server = mail.server_from(os.environ)
    with pytest.raises(DeliveryError) as error:
        mail.send([mail.failure("stopped", server.sender, "ops@example.com")], server)
    assert "hunter2" not in str(error.value) + repr(server)


def test_who_is_refused_is_named_and_the_others_get_theirs(smtp):
    server = mail.server_from(os.environ)
    mails = [
        mail.failure("stopped", server.sender, f"{to}@example.com") for to in ("nobody", "ops")
    ]
    with pytest.raises(DeliveryError, match=r"refused mail to nobody@example\.com"):
        mail.send(mails, server)
    assert [to for to, _, _ in sent(smtp)] == [["ops@example.com"]]


def test_all_that_is_wrong_with_the_server_s_settings_is_told_at_once():
    with pytest.raises(ConfigError) as error:
        mail.server_from({"RETENTION_SMTP_PORT": "x", "RETENTION_SMTP_SECURITY": "ssl"})
    for word in ("_HOST", "_FROM", "_SECURITY", "_PORT"):
        assert word in str(error.value)
    with pytest.raises(ConfigError, match="must be encrypted"):
        mail.server_from(
            {
                "RETENTION_SMTP_HOST": "mail.example.com",
                "RETENTION_SMTP_FROM": "a@example.com",
                "RETENTION_SMTP_SECURITY": "none",
            }
        )


def test_a_subject_is_one_line_whatever_the_data_hold():
    made = mail.envelope("one\nBcc: all@example.com", "a@example.com", "b@example.com")
    assert "\n" not in made["Subject"] and made["Bcc"] is None


@pytest.mark.parametrize("text", ["ops", "a@", "@b", "a b@c", "a@b; c@d"])
def test_what_is_no_address_is_told(text):
    with pytest.raises(ConfigError, match="Not an address"):
        mail.addresses(f"ok@example.com, {text}")


def test_owners_file_says_all_that_is_wrong(tmp_path):
    path = tmp_path / "owners.csv"
    path.write_text("name,mail\nBen,b@example.com\n")
    with pytest.raises(ConfigError, match="owner and address"):
        mail.owners_in(path)
    path.write_text("owner,address\nBen Q.,b\nAnn O.,a\n")
    with pytest.raises(ConfigError, match="b, a"):
        mail.owners_in(path)
    path.write_text("owner,address\nBen Q., b@example.com\n")
    assert mail.owners_in(path) == {"Ben Q.": "b@example.com"}


# A webhook, against a server


@pytest.fixture()
def hook():
    """A web server that answers with the codes it is given, one after the other."""
    taken, codes = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(codes.pop(0) if codes else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/secret", taken, codes
    server.shutdown()
    server.server_close()


def test_the_message_has_counts_and_no_client(hook):
    url, taken, _ = hook
    channel.post(url, channel.text_of(FRONT, "https://x.example"))
    (message,) = taken
    assert set(message) == {"text"}
    assert "Due this week: 2 clients" in message["text"] and "https://x.example" in message["text"]
    assert "Lark &amp; Field" in message["text"]
    assert not any(row["client"] in message["text"] for row in FRONT.due if len(row["client"]) > 1)


def test_a_channel_that_is_busy_is_asked_again(hook, monkeypatch):
    monkeypatch.setattr(channel, "PAUSE", 0.01)
    url, taken, codes = hook
    codes += [503, 429]
    channel.post(url, "x")
    assert len(taken) == 3


@pytest.mark.parametrize("code", [404, 302])
def test_a_channel_that_refuses_is_told_without_its_address(hook, code):
    url, taken, codes = hook
    codes += [code]
    with pytest.raises(DeliveryError) as error:
        channel.post(url, "x")
    assert str(code) in str(error.value) and "secret" not in str(error.value)
    assert len(taken) == 1


# The command


@pytest.fixture()
def made(tmp_path, monkeypatch):
    """`retention report` with a run that takes no time; `made[0]` is what befalls it."""
    out = tmp_path / "reports"
    (out / "r1").mkdir(parents=True)
    (out / "r2").mkdir()
    about = {"cutoff": "2025-12-31", "newest": "2025-12-31"}
    for name in ("r1", "r2"):
        (out / name / "run.json").write_text(json.dumps(about))
    (out / "latest").symlink_to("r1")
    befalls = ["r1"]

    def run_report(options, tell):
        if isinstance(befalls[0], Exception):
            raise befalls[0]
        (out / "latest").unlink()
        (out / "latest").symlink_to(befalls[0])
        return out / "latest" / "index.html"

    monkeypatch.setattr("retention.report.run.run_report", run_report)
    monkeypatch.setattr("retention.report.index.front_of", lambda folder: FRONT)

    def report(*words):
        return CliRunner().invoke(cli, ["report", "--out", str(out), "--stale-after", "0", *words])

    return befalls, report


def test_nothing_is_sent_unless_asked(made, smtp):
    assert made[1]().exit_code == 0
    assert smtp.mails == []


def test_an_unchanged_run_is_sent_to_nobody(made, smtp):
    befalls, report = made
    words = ("--if-changed", "--mail-to", "ops@example.com")
    assert report(*words).exit_code == 0
    assert smtp.mails == []
    befalls[0] = "r2"
    assert report(*words).exit_code == 0
    assert len(smtp.mails) == 1


def test_each_owner_gets_what_is_theirs(made, smtp, tmp_path):
    owners = tmp_path / "owners.csv"
    owners.write_text("owner,address\nBen Q.,ben@example.com\n")
    result = made[1]("--mail-to", "ops@example.com", "--mail-owners", str(owners))
    assert result.exit_code == 0 and "No address for Ann O." in result.stderr
    whole, own = sent(smtp)
    assert (whole[0], own[0]) == (["ops@example.com"], ["ben@example.com"])
    text = own[1].get_body(("plain",)).get_content()
    assert NASTY in text and "Ann O." not in text


def test_a_run_that_stops_sends_its_sentence(made, smtp, hook):
    befalls, report = made
    befalls[0] = ConfigError("The cut-off lies before the records begin.")
    result = report("--mail-to", "ops@example.com", "--webhook", hook[0])
    assert result.exit_code == 2
    ((_, got, _),) = sent(smtp)
    assert "The cut-off lies before the records begin." in got["subject"]
    assert "The cut-off lies" in hook[1][0]["text"]


def test_with_pseudonyms_a_sentence_holds_nothing_that_was_read(made, smtp):
    befalls, report = made
    befalls[0] = ConfigError("Client Zed & Co has no start.")
    report("--pseudonyms", "--mail-to", "ops@example.com")
    assert "Zed" not in smtp.mails[0][1].decode()


def test_a_report_that_cannot_be_sent_is_still_there(made, smtp, monkeypatch):
    monkeypatch.setenv("RETENTION_SMTP_PASSWORD", "wrong")
    result = made[1]("--mail-to", "ops@example.com")
    assert result.exit_code == 1 and "did not take the mail" in result.stderr
    assert "index.html" in result.stdout


def test_a_wrong_address_is_told_before_anything_runs(made, monkeypatch):
    befalls, report = made
    befalls[0] = AssertionError("ran")
    result = report("--mail-to", "ops")
    assert result.exit_code == 2 and "Not an address" in result.stderr
    assert delivery.recipients("", None, "", "") == delivery.Recipients()


# Schedules


def test_open_opens_the_last_report(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    assert CliRunner().invoke(cli, ["open", "--out", str(tmp_path)]).exit_code == 2
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "index.html").write_text("x")
    assert CliRunner().invoke(cli, ["open", "--out", str(tmp_path)]).exit_code == 0
    assert opened == [(tmp_path / "latest" / "index.html").as_uri()]


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("at", ["Mon 06:15", "Sun 00:05", "daily 23:59"])
def test_a_schedule_holds_this_config_and_writes_only_when_told(tmp_path, kind, at):
    config = tmp_path / "my 100% $data" / "retention.toml"
    config.parent.mkdir()
    config.write_text("")
    words = ["schedule", kind, "--config", str(config), "--out", str(tmp_path / "out"), "--at", at]
    before = sorted(tmp_path.rglob("*"))
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0 and "retention.toml" in result.stdout
    assert sorted(tmp_path.rglob("*")) == before
    path = tmp_path / "made"
    assert CliRunner().invoke(cli, [*words, "--write", str(path)]).exit_code == 0
    assert path.read_text() == result.stdout
    again = CliRunner().invoke(cli, [*words, "--write", str(path)])
    assert again.exit_code == 2 and "is there already" in again.stderr


def test_cron_days_and_per_cents(tmp_path):
    line = MAKERS["cron"](timing("Sun 00:05"), tmp_path / "100%" / "retention.toml", tmp_path)
    assert line.startswith("5 0 * * 7  ") and r"100\%" in line


def test_the_task_and_the_workflow_can_be_read(tmp_path):
    from xml.etree import ElementTree

    import yaml

    config = tmp_path / "a & b" / "retention.toml"
    task = MAKERS["windows"](timing("Mon 06:15"), config, tmp_path)
    found = ElementTree.fromstring(task.encode())
    arguments = next(node for node in found.iter() if node.tag.endswith("Arguments")).text
    assert f'"{config}"' in arguments
    flow = yaml.safe_load(MAKERS["github"](timing("Sun 06:15"), config, tmp_path))
    assert flow[True]["schedule"] == [{"cron": "15 6 * * 0"}]


def test_a_time_that_is_none_is_told():
    with pytest.raises(ConfigError, match="no time of a schedule"):
        timing("Monday 6:15")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("A,a@x.example\nA,b@x.example\n", "each owner once.*: A"),
        (",a@x.example\n", "each owner once"),
        ("A,a@x.example,b@x.example\n", "more cells than headings"),
        ("A\n", "Not an address"),
    ],
)
def test_a_file_of_owners_that_would_lose_a_mail_is_refused(tmp_path, rows, said):
    path = tmp_path / "owners.csv"
    path.write_text("owner,address\n" + rows)
    with pytest.raises(ConfigError, match=said):
        mail.owners_in(path)


def test_a_short_row_is_refused_where_the_address_comes_first(tmp_path):
    path = tmp_path / "owners.csv"
    path.write_text("address,owner\na@x.example\n")
    with pytest.raises(ConfigError, match="each owner once"):
        mail.owners_in(path)


def test_owners_never_name_a_file_that_windows_reserves():
    assert set(file_names(["CON", "Nul.", "Com1", "Connie"]).values()) == {
        "owner-con",
        "owner-nul",
        "owner-com1",
        "connie",
    }
