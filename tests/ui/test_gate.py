"""The gate, asked over ASGI as browsers and others ask: what reaches the app behind it, and with which cookies."""

import asyncio
import json
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, quote, urlencode, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ui.cookies import CLIENT_ID, Cookies
from core.ui.door import TICKET_KEPT, Codes, Door
from core.ui.gate import CONNECTION, MOST_BODY, MOST_PAGES, MOST_PAGES_EACH, Gate
from core.ui.origins import Origins
from core.ui.paths import BasePath
from core.ui.throttle import FREE_EACH, MAX_WAITING_BROWSER
from tests.ui.virtual import VirtualLoop, run

PAGE = {"accept": "text/html,*/*"}
NAME = "ab" * 16
CODES = Codes("tulip", "rembrandt")
COOKIES = Cookies.of(8501)
CLIENT, TICKET = COOKIES.client, COOKIES.ticket
INSIDE = ["/", "/dropout", "/_stcore/stream", "/_stcore/host-config", "/_stcore/upload_file/a/b", "/api/runs/abcd",
          "/api/compare", "/assets/1/player.js", "/static/x.js", "/component/x", "/media/x", "/_stcore/health/",
          "/_STCORE/health", "//_stcore/health", "/_stcore/agent/interact"]  # fmt: skip


class App:
    """What stands behind the gate: it answers all it gets."""

    def __init__(self):
        self.asked = []

    async def __call__(self, scope, receive, send):
        self.asked.append(scope["path"])
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await receive()
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"inside"})


class Answer:
    def __init__(self, sent, address):
        start = next((each for each in sent if each["type"] == "http.response.start"), None)
        self.status = start and start["status"]
        self.pairs = [(name.decode().lower(), value.decode()) for name, value in (start or {}).get("headers", ())]
        self.headers = dict(self.pairs)
        self.leads_to = urljoin(address, self.headers.get("location", ""))
        self.body = b"".join(each.get("body", b"") for each in sent if each["type"] == "http.response.body").decode()
        self.connected = any(each["type"] == "websocket.accept" for each in sent)
        self.cookies = {}
        for name, value in self.pairs:
            if name == "set-cookie":
                self.cookies |= SimpleCookie(value)


class Server:
    def __init__(self, codes=CODES, cookies=COOKIES, origins=None):
        self.app, self.now = App(), 1000.0
        self.door = Door(codes, lambda: self.now, cookies)
        self.gate = Gate(self.app, lambda: self.door, origins)

    def ask(self, *args, **how):
        return run(self.answer(*args, **how))

    async def answer(
        self, address="/", method="GET", kind="http", body=b"", scheme="http", client=("10.0.0.7", 1), **headers
    ):
        path, _, query = address.partition("?")
        scope = {
            "type": kind, "http_version": "1.1", "method": method, "scheme": scheme, "path": path,
            "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "client": client,
            "headers": [(b"host", b"lab:80"), *((name.encode(), value.encode("latin-1", "replace"))
                                                for name, value in headers.items())],
            "subprotocols": [],
        }  # fmt: skip
        received = [{"type": "http.request", "body": body}] if kind == "http" else [{"type": "websocket.connect"}]
        sent = []

        async def receive():
            return received.pop(0) if received else {"type": f"{kind}.disconnect"}

        async def send(message):
            sent.append(message)

        await self.gate(scope, receive, send)
        return Answer(sent, f"http://lab{quote(path)}")

    def cookie(self, role):
        return f"{self.door.cookies.ticket}={self.door.ticket(role)}; {self.door.cookies.client}={NAME}"


@pytest.fixture
def server():
    return Server()


# --- without a class -------------------------------------------------------------------------------------------------


def test_on_the_loopback_everything_passes_and_only_a_name_is_given():
    server = Server(codes=None)
    answer = server.ask("/dropout?code=anything", **PAGE)
    assert (answer.status, answer.body, set(answer.cookies)) == (200, "inside", {CLIENT})
    assert {name for name, _ in answer.pairs} == {"content-type", "set-cookie"}
    assert server.ask("/_stcore/upload_file/a/b", "PUT").status == 200
    assert server.ask("/_stcore/stream", kind="websocket", origin="http://lab:80").connected


def test_a_browser_gets_a_name_with_its_first_page_and_keeps_it():
    server = Server(codes=None)
    first = server.ask("/", **PAGE).cookies[CLIENT]
    assert CLIENT_ID.fullmatch(first.value)
    assert (first["httponly"], first["samesite"], first["path"], first["secure"]) == (True, "Lax", "/", "")
    assert int(first["max-age"]) > 86400 * 100
    assert server.ask("/", **PAGE).cookies[CLIENT].value != first.value, "another browser, another name"
    assert CLIENT not in server.ask("/", cookie=f"{CLIENT}={first.value}", **PAGE).cookies
    assert CLIENT not in server.ask("/api/compare", accept="*/*").cookies, "no page"


def test_over_tls_cookies_are_for_tls_alone(server):
    answer = server.ask("/?code=tulip", scheme="https", **PAGE)
    assert answer.cookies[TICKET]["secure"]
    assert answer.cookies[CLIENT]["secure"]


# --- with a class: nobody without a ticket ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", INSIDE)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_without_a_ticket_nothing_reaches_the_app(server, path, method):
    answer = server.ask(path, method)
    assert answer.status in (401, 403)
    assert server.app.asked == []
    assert not server.ask(path, kind="websocket", cookie=f"{CLIENT}={NAME}").connected
    assert server.app.asked == []


def test_a_sign_of_life_is_given_to_all(server):
    assert server.ask("/_stcore/health").body == "inside"


def test_a_person_gets_a_form_and_a_program_a_sentence(server):
    page, program = server.ask("/dropout?width=4", **PAGE), server.ask("/api/runs/abcd")
    assert page.status == program.status == 401
    assert "<form" in page.body
    assert "This class has a code" in page.body
    assert program.headers["content-type"] == "application/json"
    assert "This class has a code" in program.body
    assert page.headers["cache-control"] == program.headers["cache-control"] == "no-store"


@given(
    st.one_of(
        st.text(max_size=200),
        st.text(max_size=80).map(lambda text: f"{TICKET}={text}"),
        st.sampled_from(["student", "teacher"]).map(lambda role: f"{TICKET}={role}.{'0' * 64}; {TICKET}"),
        st.text(max_size=40).map(lambda text: f'{TICKET}="{text}"; {CLIENT}={text}; {CLIENT}={"f" * 32}'),
    )
)
def test_no_cookie_but_a_ticket_opens_anything(cookie):
    server = Server()
    assert server.ask("/", cookie=cookie, **PAGE).status == 401
    assert not server.ask("/_stcore/stream", kind="websocket", cookie=cookie).connected
    assert server.app.asked == []


# --- the code --------------------------------------------------------------------------------------------------------


def test_a_link_with_the_code_leads_to_the_same_place_without_it(server):
    answer = server.ask("/dropout?width=4&code=Tu-lip&hide=a,b&text=%26%3D", **PAGE)
    assert answer.status == 303
    path, query = answer.leads_to.split("?")
    assert path == "http://lab/dropout"
    assert parse_qs(query) == {"width": ["4"], "hide": ["a,b"], "text": ["&="]}
    ticket = answer.cookies[TICKET]
    assert (ticket["httponly"], ticket["samesite"]) == (True, "Lax")
    assert server.ask("/dropout", cookie=f"{TICKET}={ticket.value}").body == "inside"


def test_the_form_takes_the_code_at_any_page(server):
    answer = server.ask("/dropout?width=4&code=wrong", "POST", body=b"code=tulip", **PAGE)
    assert (answer.status, answer.leads_to) == (303, "http://lab/dropout?width=4")
    assert server.ask(cookie=f"{TICKET}={answer.cookies[TICKET].value}").body == "inside"


@pytest.mark.parametrize(
    "body",
    [b"code=%EF%BD%94%EF%BD%95lip", "code=ｔｕlip".encode(), "code=tu–lip".encode(), b"code=http://lab/?code=tulip",
     b"code=http%3A%2F%2Flab%2Fdropout%3Fwidth%3D4%26code%3Dtulip"],
)  # fmt: skip
def test_the_form_takes_what_phones_type_and_paste(server, body):
    assert server.ask("/dropout", "POST", body=body, **PAGE).status == 303


@pytest.mark.parametrize("body", [b"", b"code=", b"code=wrong", b"\xff\xfe", b"&" * 100, b"code=%FF%00", b"x=" * 50])
def test_another_code_gets_the_form_again(server, body):
    answer = server.ask("/", "POST", body=body, **PAGE)
    assert (answer.status, answer.cookies) == (403, {})
    assert "not the code of this class" in answer.body
    assert "<form" in answer.body


def test_a_form_that_is_no_code_is_not_read_to_its_end(server):
    assert server.ask("/", "POST", body=b"code=" + b"x" * MOST_BODY).status == 413


def mistype(server, times=FREE_EACH, **who):
    for at in range(times):
        answer = server.ask("/?code=wrong" if at % 2 else "/", "GET" if at % 2 else "POST", **PAGE, **who)
        assert answer.status in (403, 429)
        assert "not the code of this class" in answer.body
        assert TICKET not in answer.cookies


@pytest.mark.parametrize("typos", [FREE_EACH, 4 * FREE_EACH])
@pytest.mark.parametrize(
    ("address", "how", "role"),
    [
        ("/dropout?code=tulip", {}, "student"),
        ("/", {"method": "POST", "body": b"code=tulip"}, "student"),
        ("/door", {"method": "POST", "body": b"code=rembrandt"}, "teacher"),
        ("/?code=rembrandt", {}, "teacher"),
    ],
)
def test_typos_behind_one_address_keep_no_right_code_out(server, typos, address, how, role):
    mistype(server, typos)
    begun = VirtualLoop.now
    answer = server.ask(address, **how, **PAGE)
    assert answer.status == 303
    assert server.door.role(answer.cookies[TICKET].value) == role
    assert VirtualLoop.now - begun <= 4.0


def test_a_student_who_mistypes_the_teachers_code_is_slowed_down_and_stays_inside(server):
    student = server.cookie("student")
    for _ in range(FREE_EACH):
        assert server.ask("/door", "POST", body=b"code=guess", cookie=student, **PAGE).status == 403
    begun = VirtualLoop.now
    late = server.ask("/door", "POST", body=b"code=guess", cookie=student, **PAGE)
    assert late.status == 429
    assert "checked slowly" in late.body
    assert int(late.headers["retry-after"]) > 0
    assert VirtualLoop.now > begun
    begun = VirtualLoop.now
    assert server.ask("/dropout", cookie=student).body == "inside", "the class goes on"
    assert server.ask("/dropout?code=tulip", cookie=student, **PAGE).leads_to == "http://lab/dropout"
    assert VirtualLoop.now == begun
    assert server.ask("/door", "POST", body=b"code=rembrandt", cookie=student).leads_to == "http://lab/classroom"


def test_an_old_link_leads_those_inside_on(server):
    answer = server.ask("/dropout?width=4&code=last-weeks", cookie=server.cookie("student"), **PAGE)
    assert (answer.status, answer.leads_to, answer.cookies) == (303, "http://lab/dropout?width=4", {})


def test_beside_a_flood_a_scan_comes_in_by_itself(server):
    async def scanned():
        async def guess_on():
            while True:
                await asyncio.gather(server.answer("/?code=wrong"), asyncio.sleep(0.5))

        flood = [asyncio.create_task(guess_on()) for _ in range(3 * MAX_WAITING_BROWSER)]
        await asyncio.sleep(30)
        begun, cookie = VirtualLoop.now, ""
        first = await server.answer("/dropout?code=tulip", **PAGE)
        assert first.status == 429
        assert "was not checked" in first.body
        assert first.headers["refresh"].isdecimal(), "the page loads itself again"
        cookie = f"{CLIENT}={first.cookies[CLIENT].value}"
        await asyncio.sleep(int(first.headers["refresh"]))
        second = await server.answer("/dropout?code=tulip", cookie=cookie, **PAGE)
        assert second.status == 303
        assert VirtualLoop.now - begun < 15
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)

    run(scanned())


def test_a_typed_code_that_was_not_checked_is_not_sent_again_by_itself(server):
    async def typed():
        many = [server.answer("/", "POST", body=b"code=wrong", **PAGE) for _ in range(100)]
        return await asyncio.gather(*many)

    refused = [answer for answer in run(typed()) if "was not checked" in answer.body]
    assert refused
    assert all(answer.status == 429 and "refresh" not in answer.headers for answer in refused)


@given(st.text(max_size=30), st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3))
def test_no_link_leads_to_another_server(path, query):
    address = f"/{quote(path)}?{urlencode({**query, 'code': 'tulip'})}"
    answer = Server().ask(address, **PAGE)
    assert answer.status == 303
    location = answer.headers["location"]
    assert location.startswith(("./", "../")), "neither a host nor a scheme, and below whatever path a proxy puts ahead"
    assert location.isprintable()
    assert urlsplit(answer.leads_to).netloc == "lab"
    assert urlsplit(location).netloc == ""
    assert "code" not in parse_qs(urlsplit(location).query, keep_blank_values=True)


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example", "///evil.example", "/\\/evil.example"])
def test_a_path_that_looks_like_another_server_stays_on_this_one(server, path):
    assert server.ask(f"{path}?code=tulip", **PAGE).leads_to.startswith("http://lab/evil.example")


# --- tickets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Cookies.of(8501), Cookies.of(8502)),
        (Cookies.of(8501, "lab"), Cookies.of(8501)),
        (Cookies.of(8501, "a"), Cookies.of(8501, "b")),
        (Cookies.of(8501, "", "https://school.example/a"), Cookies.of(8501, "", "https://school.example/b")),
    ],
)
def test_servers_of_one_host_share_a_browsers_jar_and_leave_each_other_alone(one, other):
    servers, jar = (Server(cookies=one), Server(cookies=other)), {}
    for server in servers:
        for name, cookie in server.ask("/?code=tulip", **PAGE).cookies.items():
            assert name.isascii()
            assert name not in jar
            jar[name] = cookie.value
    shown = "; ".join(f"{name}={value}" for name, value in jar.items())
    for server in servers:
        answer = server.ask("/dropout", cookie=shown, **PAGE)
        assert (answer.status, answer.cookies) == (200, {}), "still inside, and still the browser it was"
    assert len({server.door.cookies.client_id(jar) for server in servers}) == 2


def test_a_server_keeps_the_names_of_its_cookies_over_a_restart():
    assert Cookies.of(8501, "lab", "https://school.example") == Cookies.of(8501, "lab", "https://school.example")


def test_a_ticket_opens_nothing_once_its_day_is_over(server):
    cookie = server.cookie("student")
    server.now += TICKET_KEPT
    assert server.ask("/", cookie=cookie, **PAGE).body == "inside"
    server.now += 1
    assert server.ask("/", cookie=cookie, **PAGE).status == 401
    assert not server.ask(kind="websocket", cookie=cookie).connected


def test_a_page_that_stays_open_is_heard_no_longer_than_its_ticket_lasts(server):
    heard = []

    async def page(scope, receive, send):
        heard.append((await receive())["type"])  # it connects
        for seconds in (TICKET_KEPT, 1):
            server.now += seconds
            heard.append((await receive())["type"])

    async def say():
        return {"type": "websocket.receive" if heard else "websocket.connect", "bytes": b"run"}

    scope = {"type": "websocket", "path": "/_stcore/stream", "query_string": b"", "scheme": "ws",
             "headers": [(b"host", b"lab:80"), (b"cookie", server.cookie("student").encode())]}  # fmt: skip
    server.gate.app = page
    run(server.gate(scope, say, None))
    assert heard == ["websocket.connect", "websocket.receive", "websocket.disconnect"]


def test_a_ticket_of_another_start_opens_nothing(server):
    assert server.ask("/", cookie=Server().cookie("teacher"), **PAGE).status == 401


def test_no_two_browsers_get_one_ticket(server):
    tickets = [server.ask("/?code=tulip", **PAGE).cookies[TICKET].value for _ in range(20)]
    assert len(set(tickets)) == 20


# --- students and the teacher ----------------------------------------------------------------------------------------


def test_the_door_makes_a_student_the_teacher_and_a_scan_does_not_undo_it(server):
    assert "Only the teacher needs" in server.ask("/door", cookie=server.cookie("student"), **PAGE).body
    answer = server.ask("/door", "POST", body=b"code=rembrandt", cookie=server.cookie("student"), **PAGE)
    assert answer.leads_to == "http://lab/classroom"
    ticket = answer.cookies[TICKET].value
    assert server.door.role(ticket) == "teacher"
    again = server.ask("/?code=tulip", cookie=f"{TICKET}={ticket}", **PAGE)
    assert server.door.role(again.cookies[TICKET].value) == "teacher"
    assert server.ask("/door", "POST", body=b"code=tulip", **PAGE).leads_to == "http://lab/"


def test_students_bring_no_files_and_the_teacher_does(server):
    for below in ("", "/lab"):
        refused = server.ask(f"{below}/_stcore/upload_file/a/b", "PUT", cookie=server.cookie("student"))
        assert (refused.status, server.app.asked) == (403, [])
        assert "Only the teacher brings files" in refused.body
    assert server.ask("/_stcore/upload_file/a/b", "PUT", cookie=server.cookie("teacher")).body == "inside"


@pytest.mark.parametrize(
    ("origin", "connected"),
    [("http://lab:80", True), ("https://lab:80", True), ("http://evil.example", False), ("http://lab:81", False),
     ("http://127.0.0.1:80", False), ("null", False), ("http://[", False)],
)  # fmt: skip
def test_a_socket_is_opened_by_this_servers_own_pages_alone(server, origin, connected):
    assert server.ask(kind="websocket", cookie=server.cookie("student"), origin=origin).connected is connected


def test_open_pages_are_counted_and_no_browser_has_too_many(server):
    counts = []

    async def look(scope, receive, send):
        counts.append(dict(server.door.pages))
        raise RuntimeError("a session that fails")

    server.gate.app = look
    with pytest.raises(RuntimeError):
        server.ask(kind="websocket", cookie=server.cookie("student"))
    assert counts == [{NAME: 1}]
    assert server.door.pages == {}, "counted down whatever happens"

    server.gate.app = server.app
    assert server.ask(kind="websocket", cookie=server.cookie("student")).connected
    for asker, count, sentence in (
        (NAME, MOST_PAGES_EACH, "This browser has 30 pages open"),
        ("another", MOST_PAGES, "400 pages are open on this server"),
    ):
        server.door.pages.clear()
        server.door.pages[asker] = count
        assert not server.ask(kind="websocket", cookie=server.cookie("student")).connected
        page = server.ask("/", cookie=server.cookie("student"), **PAGE)
        assert page.status == 503
        assert sentence in page.body
        assert server.ask("/api/runs/ab", cookie=server.cookie("student")).body == "inside", "open pages go on"
        assert server.ask(kind="websocket", cookie=server.cookie("teacher")).connected
        server.door.pages[asker] = count - 1
        assert server.ask(kind="websocket", cookie=server.cookie("student")).connected


def test_whatever_a_class_is_answered_is_not_framed_nor_taken_for_another_type(server):
    for answer in (server.ask("/", **PAGE), server.ask("/", cookie=server.cookie("student")), server.ask("/api/x")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors" in answer.headers["content-security-policy"]
    assert "default-src 'none'" in server.ask("/", **PAGE).headers["content-security-policy"]


# --- at any address --------------------------------------------------------------------------------------------------


LAB = "https://lab.school.example"


@pytest.mark.parametrize("codes", [CODES, None])
def test_a_page_that_may_not_connect_hears_why(codes):
    server = Server(codes)
    cookie = server.cookie("student")
    for origin, connected in (("https://lab:8443", False), ("http://lab:80", True)):
        asked = f"{CONNECTION}?opened=https://lab:8443"
        said = json.loads(server.ask(asked, "POST", cookie=cookie, origin=origin).body)["error"]
        assert (said == "") is connected
        assert ("GRADIENT_LAB_ADDRESS=https://lab:8443" in said) is not connected
        assert server.ask("/_stcore/stream", kind="websocket", cookie=cookie, origin=origin).connected is connected


def test_whoever_is_outside_hears_nothing_but_that_there_is_a_code(server):
    answer = server.ask(CONNECTION, "POST", origin="http://lab:80")
    assert answer.status == 401
    assert "This class has a code" in answer.body


def test_a_full_server_says_so_to_a_page_that_cannot_connect(server):
    server.door.pages["another"] = MOST_PAGES
    said = server.ask(CONNECTION, "POST", cookie=server.cookie("student"), origin="http://lab:80").body
    assert "400 pages are open" in said


@pytest.mark.parametrize("codes", [CODES, None])
def test_streamlit_is_told_an_origin_that_it_takes_without_asking_the_internet(codes):
    server, seen = Server(codes, origins=Origins(LAB)), []

    async def look(scope, receive, send):
        seen.append({name.decode(): value.decode() for name, value in scope["headers"]})

    server.gate.app = look
    for origin in (LAB, "http://lab:80"):
        server.ask(kind="websocket", cookie=server.cookie("student"), origin=origin)
    server.ask(kind="websocket", cookie=server.cookie("student"))
    assert [each.get("origin") for each in seen] == ["http://lab:80", "http://lab:80", None]


def test_cookies_are_for_tls_alone_where_the_declared_address_is_asked(server):
    server.gate.origins = Origins("https://lab:8443")
    assert server.ask("/?code=tulip", **PAGE).cookies[server.door.cookies.ticket]["secure"]
    server.gate.origins = Origins(LAB)
    assert not server.ask("/?code=tulip", **PAGE).cookies[server.door.cookies.ticket]["secure"]


@pytest.mark.parametrize("base", ["/lab", "/a/b"])
def test_below_a_base_path_the_gate_is_the_same(server, base):
    gate = server.gate
    server.gate = BasePath(gate, base)
    assert server.ask(f"{base}/_stcore/health").body == "inside"
    assert server.ask(f"{base}/dropout", **PAGE).status == 401
    assert "<form" in server.ask(f"{base}/door", **PAGE).body
    answer = server.ask(f"{base}/door", "POST", body=b"code=rembrandt", **PAGE)
    assert answer.leads_to == f"http://lab{base}/classroom"
    assert answer.cookies[server.door.cookies.ticket]["path"] == base
    answer = server.ask(f"{base}/dropout?width=4&code=tulip", **PAGE)
    assert answer.leads_to == f"http://lab{base}/dropout?width=4"
    assert server.ask(f"{base}/?code=tulip", **PAGE).leads_to == f"http://lab{base}/"
    refused = server.ask(f"{base}/_stcore/upload_file/a/b", "PUT", cookie=server.cookie("student"))
    assert (refused.status, "Only the teacher" in refused.body) == (403, True)
    student = server.cookie("student")
    assert server.ask(f"{base}/_stcore/stream", kind="websocket", cookie=student, origin="http://lab:80").connected
    assert json.loads(server.ask(base + CONNECTION, "POST", cookie=student, origin="http://lab:80").body) == {
        "error": ""
    }
