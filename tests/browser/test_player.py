"""The player in a real browser, beside a real server, on runs that grow without training (demo.py, growing.py)."""

import itertools
import json
import re
import runpy
import secrets
import urllib.request
from pathlib import Path

import pytest

from core.runs.run import State
from core.ui.replay import CHART_LIBRARY
from core.ui.routes import asset
from core.ui.run_json import state

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
expect.set_options(timeout=60_000)  # a busy machine is no fault

HERE = Path(__file__).parent
FIRST = ".gl-panel:first-child"
Growing = runpy.run_path(str(HERE / "growing.py"))["Growing"]


@pytest.fixture(scope="module")
def server(serve):
    return serve(HERE / "demo.py")


def fresh(kind):
    """The name of a run that no test has seen."""
    return kind + secrets.token_hex(15) + "0"


def visit(page, server, run, **query):
    """Open the page of a run and wait for its first chart."""
    more = "".join(f"&{name}={value}" for name, value in query.items())
    page.goto(f"{server}/?run={run}{more}")
    page.wait_for_selector(f"{FIRST} .main-svg")


def tell(server, what, run):
    """`again`: train a run anew; `go`: let one go on that waits."""
    with urllib.request.urlopen(f"{server}/{what}/{run}") as answer:
        assert answer.read() == b"True"


def plot(page, script, number=0):
    """What a script says of a chart: `plot.data`, `plot.layout`."""
    return page.evaluate(f"plot => {script}", page.query_selector_all(".gl-plot")[number])


def place(page):
    return int(re.search(r"\d+", page.locator(".gl-place").inner_text())[0])


def at(page, text):
    expect(page.locator(".gl-place")).to_have_text(text)


def points(page, number, number_of_points):
    """Wait until the first line of a chart shows so many points."""
    page.wait_for_function(
        "([number, points]) => document.querySelectorAll('.gl-plot')[number]?.data?.at(-1).x.length === points",
        arg=[number, number_of_points],
    )


def until(page, true):
    """Wait until it is true of what the page has asked and shown."""
    for _ in range(300):
        if true():
            return
        page.wait_for_timeout(200)
    pytest.fail("It never came true.")


def press(page, name):
    page.locator(".gl-bar").get_by_role("button", name=name).click()


def drag(page, number=0):
    """Zoom by mouse into the middle of a chart."""
    area = page.locator(".gl-plot").nth(number).locator(".nsewdrag").first
    area.hover()  # waits until the chart stands still
    box = area.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.7, steps=6)
    page.mouse.up()
    expect(page.locator(".gl-unzoom").nth(number)).to_be_visible()


def ranges(page, number=0):
    page.wait_for_function("number => document.querySelectorAll('.gl-plot')[number]?.layout", arg=number)
    return plot(page, "[plot.layout.xaxis.range, plot.layout.yaxis.range]", number)


# --- a finished run --------------------------------------------------------------------------------------------------


def test_a_finished_run_stands_complete_on_arrival(page, server):
    hosts = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    visit(page, server, fresh("a"))
    at(page, "pass 999 of 999")
    expect(page.locator(".gl-state")).to_have_text("done")
    expect(page.locator(".gl-panel")).to_have_count(5)
    assert plot(page, "plot.data.at(-1).x.length") == 1000
    expect(page.get_by_text("script runs: 1")).to_be_visible()  # the frames came beside Streamlit
    assert hosts == {server.removeprefix("http://")}


def test_charts_have_names_and_captions(page, server):
    visit(page, server, fresh("e"))
    chart = page.get_by_role("img", name=re.compile("^Train loss. Mean cross-entropy"))
    expect(chart).to_be_visible()
    expect(page.get_by_role("heading", name="Read correctly")).to_be_visible()
    for name in ("Back to the start", "One step back", "Play", "One step forward", "To the end"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_visible()
    expect(page.get_by_role("slider", name="Moment of the run")).to_have_attribute("aria-valuetext", "pass 59 of 59")


def test_scrubbing_goes_back_and_never_shrinks_an_axis(page, server):
    visit(page, server, fresh("e"))
    before = [ranges(page, number) for number in range(3)]
    page.locator(".gl-scrubber").fill("20")
    at(page, "pass 20 of 59")
    points(page, 0, 21)
    assert [ranges(page, number) for number in range(3)] == before
    press(page, "One step forward")
    points(page, 0, 22)
    press(page, "Back to the start")
    points(page, 0, 1)
    press(page, "To the end")
    points(page, 0, 60)


def test_lines_drawn_alone_stand_where_a_whole_redraw_puts_them(page, server):
    visit(page, server, fresh("e"))
    points(page, 0, 60)
    paths = "[...plot.querySelectorAll('.scatterlayer path')].map((path) => path.getAttribute('d'))"
    plot(page, "(plot.redraws = 0, plot.on('plotly_redraw', () => (plot.redraws += 1)), null)")
    page.locator(".gl-scrubber").fill("20")
    points(page, 0, 21)
    drawn = plot(page, paths)
    assert plot(page, "plot.redraws") == 0
    plot(page, "Plotly.redraw(plot).then(() => null)")
    assert plot(page, "plot.redraws") == 1
    assert plot(page, paths) == drawn
    assert max(map(len, drawn)) > 100


def test_pictures_switch_with_the_frame(page, server):
    visit(page, server, fresh("e"))
    page.locator(".gl-panel").nth(3).scroll_into_view_if_needed()
    page.wait_for_selector(".gl-panel:nth-child(4) .main-svg")
    shows = "y => document.querySelectorAll('.gl-plot')[3].data[0].y[0] === y"
    values = plot(page, "[plot.data[0].y[0]]", 3)
    for frame in (44, 29, 14):  # a picture came at each fifteenth frame
        page.locator(".gl-scrubber").fill(str(frame + 1))
        page.wait_for_function(shows, arg=values[-1])
        page.locator(".gl-scrubber").fill(str(frame))
        page.wait_for_function(f"y => !({shows})(y)", arg=values[-1])
        values.append(plot(page, "plot.data[0].y[0]", 3))
    assert len(set(values)) == 4


def test_replay_runs_to_the_end_and_can_be_paused(page, server):
    visit(page, server, fresh("f"))
    page.get_by_label("Speed").select_option("0.5")
    press(page, "Play")
    page.wait_for_function("Number(document.querySelector('.gl-scrubber').value) > 5")
    press(page, "Pause")
    stopped = place(page)
    assert 5 < stopped < 79
    page.wait_for_timeout(300)
    assert place(page) == stopped
    page.get_by_label("Speed").select_option("4")
    press(page, "Play")
    at(page, "pass 79 of 79")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_a_press_of_run_replays_what_is_there_from_its_start(page, server):
    visit(page, server, fresh("a"))
    at(page, "pass 999 of 999")
    page.get_by_role("button", name="Run is pressed").click()
    page.wait_for_function("Number(document.querySelector('.gl-scrubber').value) < 900")
    assert "frame" not in page.url
    at(page, "pass 999 of 999")
    page.get_by_role("button", name="Run the script again").click()
    expect(page.get_by_text("script runs: 3")).to_be_visible()
    at(page, "pass 999 of 999")  # it was not pressed again


def test_a_press_of_run_brings_the_charts_onto_a_screen_that_lacks_them(page, server):
    page.goto(f"{server}/?run={fresh('e')}&above=2000")
    at(page, "pass 59 of 59")
    shown = "document.querySelector('.gl-player').getBoundingClientRect().top < innerHeight / 2"
    assert not page.evaluate(shown)
    page.get_by_role("button", name="Run is pressed").click()
    page.wait_for_function(shown)


def test_keys_move_it_unless_somebody_types(page, server):
    visit(page, server, fresh("e"))
    page.keyboard.press("ArrowLeft")
    at(page, "pass 58 of 59")
    page.keyboard.press("Home")
    at(page, "pass 0 of 59")
    page.keyboard.press("ArrowRight")
    at(page, "pass 1 of 59")
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.keyboard.press("End")
    at(page, "pass 59 of 59")
    page.get_by_label("Notes").press_sequentially("a b")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Home")
    at(page, "pass 59 of 59")
    expect(page.get_by_label("Notes")).to_have_value("a b")


def test_the_space_bar_on_a_button_is_that_button(page, server):
    visit(page, server, fresh("e"))
    page.get_by_role("button", name="One step back").focus()
    page.keyboard.press(" ")
    at(page, "pass 58 of 59")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_a_clicker_leafs_through_the_run_on_a_projector(page, server):
    visit(page, server, fresh("e"), projector="on")
    page.keyboard.press("PageUp")
    at(page, "pass 53 of 59")
    page.keyboard.press("PageDown")
    at(page, "pass 59 of 59")


def test_a_table_stands_behind_every_chart(page, server):
    visit(page, server, fresh("a"))
    button = page.get_by_role("button", name="Table: Train loss", exact=True)
    table = page.locator(FIRST).locator("table").first
    expect(table).to_have_count(0)
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")
    expect(table.locator("thead th")).to_have_text(["pass", *(f"h={2**k}" for k in range(1, 11))])
    expect(table.locator("tbody tr")).to_have_count(200)
    last = table.locator("tbody tr").last.locator("td")
    expect(last.first).to_have_text("999")
    assert float(last.nth(1).inner_text()) == pytest.approx(plot(page, "plot.data[1].y.at(-1)"), rel=1e-3)
    page.locator(".gl-scrubber").fill("9")
    expect(table.locator("tbody tr")).to_have_count(10)
    button.click()
    expect(table).to_be_hidden()
    page.get_by_role("button", name="Table: Weights").click()
    expect(page.locator(".gl-panel").nth(3).locator("thead th")).to_have_text(["", "weight", "value"])


def test_a_picture_can_be_saved_without_a_network(page, server):
    visit(page, server, fresh("e"))
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as PNG: Train loss", exact=True).click()
    assert saved.value.suggested_filename == "train-loss-59.png"
    assert Path(saved.value.path()).read_bytes().startswith(b"\x89PNG")


def test_gaps_stay_gaps_and_a_lost_net_is_marked(page, server):
    visit(page, server, fresh("e"))
    assert plot(page, "[...plot.data[2].y].map((y, i) => isNaN(y) ? i : -1).filter(i => i >= 0)") == [10, 11, 12, 13]
    labels = page.locator(f"{FIRST} .gl-label")
    expect(labels).to_have_count(5)
    expect(labels.filter(has_text="h=8 diverged")).to_have_count(1)
    expect(page.locator(f"{FIRST} .gl-cross")).to_have_count(1)
    page.locator(".gl-scrubber").fill("33")  # the last frame at which it was a number
    expect(page.locator(f"{FIRST} .gl-cross")).to_have_count(0)
    expect(labels.filter(has_text="diverged")).to_have_count(0)


# A chart's box and those of its labels, all of one moment: a chart that is drawn again makes new labels.
BOXES = """(number) => {
  const chart = document.querySelectorAll(".gl-chart")[number];
  return [chart, ...chart.querySelectorAll(".gl-label")].map((each) => {
    const { x, y, width, height } = each.getBoundingClientRect();
    return { x, y, width, height };
  });
}"""


@pytest.mark.parametrize("kind", ["a", "e", "f"])
def test_no_label_covers_another_or_is_cut(page, server, kind):
    visit(page, server, fresh(kind))
    for number in range(3):
        page.wait_for_selector(f".gl-panel:nth-child({number + 1}) .gl-label")
        room, *boxes = page.evaluate(BOXES, number)
        assert boxes
        for one in boxes:
            assert one["x"] + one["width"] <= room["x"] + room["width"] + 1
            assert room["y"] - 1 <= one["y"] <= room["y"] + room["height"] - one["height"]
        for one, other in itertools.combinations(boxes, 2):
            apart = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
            assert apart or abs(one["y"] - other["y"]) >= min(one["height"], other["height"]) - 1


# --- a live run ------------------------------------------------------------------------------------------------------


def test_a_live_run_grows_finishes_and_tells_the_page_once(page, server):
    run = fresh("2")
    visit(page, server, run, state="running")
    expect(page.locator(".gl-state")).to_contain_text("live")
    page.wait_for_function("Number(document.querySelector('.gl-scrubber').value) > 5")
    tell(server, "go", run)
    expect(page.locator(".gl-state")).to_have_text("done")
    at(page, "pass 23 of 23")
    expect(page.get_by_text(f"script runs: 2 · finished: {run}")).to_be_visible()
    page.wait_for_timeout(700)
    expect(page.get_by_text(f"script runs: 2 · finished: {run}")).to_be_visible()


def test_a_run_that_was_over_before_the_player_looked_is_news_to_the_page(page, server):
    run = fresh("e")
    visit(page, server, run, state="running")
    expect(page.get_by_text(f"script runs: 2 · finished: {run}")).to_be_visible()


def test_ten_refreshes_keep_the_zoom(page, server):
    visit(page, server, fresh("3"))
    page.wait_for_function("document.querySelector('.gl-plot').data.at(-1).x.length > 3")
    page.evaluate("document.querySelector('.gl-plot').dataset.mark = 'the same'")
    drag(page)
    zoomed = ranges(page)
    begun = place(page)
    page.wait_for_function("begun => document.querySelector('.gl-plot').data.at(-1).x.length > begun + 10", arg=begun)
    assert ranges(page) == zoomed
    assert plot(page, "plot.dataset.mark") == "the same"
    other = ranges(page, 1)[0][1]
    assert other > zoomed[0][1]  # nobody held the axis of the next chart
    page.get_by_role("button", name="Reset the zoom: Train loss", exact=True).click()
    page.wait_for_function("document.querySelector('.gl-plot').layout.xaxis.range[0] === 0")
    assert ranges(page)[0][1] >= other
    expect(page.locator(".gl-unzoom").first).to_be_hidden()


def test_a_double_click_lets_the_axes_go(page, server):
    visit(page, server, fresh("e"))
    before = ranges(page)
    drag(page)
    assert ranges(page) != before
    page.locator(".gl-plot").first.locator(".nsewdrag").first.dblclick()
    expect(page.locator(".gl-unzoom").first).to_be_hidden()
    assert ranges(page) == before


def test_a_zoom_outlives_the_script_and_the_scrubber(page, server):
    visit(page, server, fresh("e"))
    drag(page)
    zoomed = ranges(page)
    page.get_by_role("button", name="Run the script again").click()
    expect(page.get_by_text("script runs: 2")).to_be_visible()
    page.locator(".gl-scrubber").fill("20")
    points(page, 0, 21)
    assert ranges(page) == zoomed


def test_a_refresh_of_ten_curves_with_a_thousand_points_is_small(page, server):
    sizes = []

    def weigh(request):
        if "/api/runs/" in request.url:
            sizes.append(request.sizes()["responseBodySize"])

    page.on("requestfinished", weigh)
    visit(page, server, fresh("1"))
    page.wait_for_function("document.querySelector('.gl-plot').data.at(-1).x.length > 925")
    expect(page.locator(".gl-state")).to_have_text("done")
    assert len(sizes) > 3
    assert sizes[0] > 50_000
    assert max(sizes[1:]) < 10_000


def test_axes_only_grow_while_it_is_live(page, server):
    visit(page, server, fresh("3"))
    seen = [ranges(page)]

    def grown():
        seen.append(ranges(page))
        return len({str(each) for each in seen}) > 3

    until(page, grown)
    for (x, y), (later_x, later_y) in itertools.pairwise(seen):
        assert later_x[0] <= x[0] <= x[1] <= later_x[1]
        assert later_y[0] <= y[0] <= y[1] <= later_y[1]


def test_a_paused_live_run_stays_where_it_is_and_can_be_followed_again(page, server):
    visit(page, server, fresh("3"))
    page.wait_for_function("Number(document.querySelector('.gl-scrubber').max) > 8")
    page.locator(".gl-scrubber").fill("4")
    at(page, "pass 4")
    page.wait_for_function("Number(document.querySelector('.gl-scrubber').max) > 14")
    at(page, "pass 4")
    press(page, "To the end")
    page.wait_for_function("Number(document.querySelector('.gl-scrubber').value) > 20")


def test_the_place_in_line_shows_and_then_the_run(page, server):
    run = fresh("c")
    visit(page, server, run)
    expect(page.locator(".gl-state")).to_have_text(re.compile(r"^in line: place 2, starts in \d+ s$"))
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_disabled()
    tell(server, "go", run)
    expect(page.locator(".gl-state")).to_contain_text("live")
    tell(server, "go", run)
    expect(page.locator(".gl-state")).to_have_text("done")
    at(page, "pass 29 of 29")


# --- when something goes wrong ---------------------------------------------------------------------------------------


def test_a_failed_run_says_its_sentence(page, server):
    visit(page, server, fresh("d"))
    expect(page.get_by_role("alert")).to_have_text(re.compile("^The training process was killed at pass 11. Press Run"))
    expect(page.locator(".gl-state")).to_have_text("failed")
    at(page, "pass 11 of 11")


@pytest.mark.parametrize(
    ("run", "says"),
    [("0" * 32, "is not on this server"), ("abc", "abc is no run's name"), ("../a", "refuses this run")],
)
def test_a_run_that_is_not_there_gets_a_sentence(page, server, run, says):
    page.goto(f"{server}/?run={run}")
    expect(page.get_by_role("alert").filter(has_text=says)).to_be_visible()
    page.problems[:] = [problem for problem in page.problems if "status of 40" not in problem]


def test_a_server_that_is_away_is_asked_again(page, server):
    visit(page, server, fresh("3"))
    page.route("**/api/runs/**", lambda route: route.abort())
    expect(page.get_by_role("alert").filter(has_text="does not answer")).to_be_visible()
    page.unroute("**/api/runs/**")
    expect(page.get_by_role("alert").filter(has_text="does not answer")).to_be_hidden(timeout=15_000)
    expect(page.locator(".gl-state")).to_contain_text("live")
    page.problems[:] = [problem for problem in page.problems if "ERR_FAILED" not in problem]


def test_a_lost_answer_heals(page, server):
    lost = []

    def lose(route):
        if len(lost) < 2 and "since=0" not in route.request.url:
            lost.append(route.fetch())  # the server has sent it, and it never arrives
            route.abort()
        else:
            route.continue_()

    page.route("**/api/runs/**", lose)
    run = fresh("2")
    visit(page, server, run)
    until(page, lambda: len(lost) == 2)
    tell(server, "go", run)
    at(page, "pass 23 of 23")
    points(page, 0, 24)
    assert plot(page, "[...plot.data.at(-1).x]") == list(range(24))
    page.problems[:] = [problem for problem in page.problems if "ERR_FAILED" not in problem]


def test_a_run_that_is_trained_anew_is_shown_anew(page, server):
    run = fresh("2")
    visit(page, server, run)
    tell(server, "go", run)
    expect(page.locator(".gl-state")).to_have_text("done")
    tell(server, "again", run)
    page.get_by_role("button", name="Say that it runs").click()
    expect(page.locator(".gl-state")).to_contain_text("live")
    tell(server, "go", run)
    expect(page.get_by_text(f"finished: {run}")).to_be_visible()
    at(page, "pass 23 of 23")
    points(page, 0, 24)
    assert plot(page, "[...plot.data.at(-1).x]") == list(range(24))


# --- the page around it ----------------------------------------------------------------------------------------------


def test_the_link_carries_the_moment(page, server):
    run = fresh("e")
    visit(page, server, run)
    page.locator(".gl-scrubber").fill("49")
    page.wait_for_url("**&frame=49")
    page.get_by_role("button", name="Run the script again").click()
    expect(page.get_by_text("script runs: 2")).to_be_visible()
    at(page, "pass 49 of 59")
    assert page.url.endswith("&frame=49")
    page.get_by_role("button", name="Write the link").click()  # Streamlit writes the address, without the frame
    page.wait_for_url("**knob=7*frame=49")
    page.reload()
    page.wait_for_selector(f"{FIRST} .main-svg")
    at(page, "pass 49 of 59")
    points(page, 0, 50)
    press(page, "To the end")
    page.wait_for_url(lambda url: "frame" not in url and "knob=7" in url)


def test_a_reload_finds_the_run(page, server):
    run = fresh("3")
    visit(page, server, run)
    page.wait_for_function("Number(document.querySelector('.gl-scrubber').value) > 5")
    had = place(page)
    page.reload()
    page.wait_for_selector(f"{FIRST} .main-svg")
    assert place(page) >= had
    expect(page.locator(".gl-state")).to_contain_text("live")


def test_another_run_takes_the_place_of_the_first(page, server):
    visit(page, server, fresh("f"))
    at(page, "pass 79 of 79")
    page.locator(".gl-scrubber").fill("9")
    page.wait_for_url("**frame=9")
    page.get_by_role("button", name="Another run").click()
    at(page, "pass 59 of 59")
    expect(page.locator(".gl-player")).to_have_count(1)
    page.wait_for_url(lambda url: "frame" not in url)
    points(page, 0, 60)


def test_when_it_goes_nothing_stays_behind(page, server):
    visit(page, server, fresh("3"))
    page.get_by_role("button", name="Take the player away").click()
    expect(page.locator(".gl-player")).to_have_count(0)
    page.wait_for_timeout(1000)  # Streamlit tells it some time after it took it out of the page; until then it may ask
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(2000)
    assert [url for url in asked if "/api/runs/" in url] == []
    assert "frame" not in page.url


def test_light_and_dark_change_without_a_new_chart(page, server):
    page.emulate_media(color_scheme="light")
    visit(page, server, fresh("e"))
    light = plot(page, "[plot.layout.font.color, plot.layout.paper_bgcolor]")
    page.evaluate("document.querySelector('.gl-plot').dataset.mark = 'the same'")
    drag(page)
    zoomed = ranges(page)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("colour => document.querySelector('.gl-plot').layout.font.color !== colour", arg=light[0])
    dark = plot(page, "[plot.layout.font.color, plot.layout.paper_bgcolor]")
    assert brightness(dark[0]) > 200 > 60 > brightness(dark[1])
    assert brightness(light[0]) < 60 < 200 < brightness(light[1])
    assert plot(page, "plot.dataset.mark") == "the same"
    assert ranges(page) == zoomed


def brightness(colour):
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) / 3


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_never_scrolls_sideways(open_page, server, width):
    page = open_page(viewport={"width": width, "height": 800}, has_touch=True, is_mobile=True)
    visit(page, server, fresh("e"))
    sticking_out = """() => [...document.querySelectorAll('.gl-player, .gl-player *')]
        .filter(each => each.getBoundingClientRect().right > innerWidth + 1 && !each.closest('.gl-table'))
        .map(each => each.className)"""
    page.get_by_role("button", name="Table: Train loss", exact=True).tap()
    page.wait_for_selector(f"{FIRST} table")
    assert page.evaluate(sticking_out) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Play", exact=True).tap()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


class Finger:
    """One finger on a page, by what a touch screen sends; the browser makes of it what it makes of any other."""

    def __init__(self, page):
        self.page, self.screen = page, page.context.new_cdp_session(page)

    def swipe(self, start, end):
        """From one point (x, y) of the window to another."""
        self._send("touchStart", start)
        for step in range(1, 11):
            self._send("touchMove", tuple(a + (b - a) * step / 10 for a, b in zip(start, end, strict=True)))
        self._send("touchEnd")

    def tap(self, point):
        self._send("touchStart", point)
        self._send("touchEnd")

    def _send(self, kind, *points):
        self.screen.send(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]}
        )


def middle(locator):
    locator.scroll_into_view_if_needed()
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


# A laptop whose screen can be touched says that it has a mouse; a phone that it has none; a convertible either.
DEVICES = {"laptop": {}, "convertible": {"has_touch": True}, "phone": {"has_touch": True, "is_mobile": True}}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("way", [(0, -150), (-90, -20)])
def test_a_swipe_over_a_chart_scrolls_the_page_and_never_zooms_the_chart(open_page, server, device, way):
    page = open_page(viewport={"width": 900, "height": 600}, **DEVICES[device])
    visit(page, server, fresh("e"))
    before = ranges(page)
    inside = page.locator(f"{FIRST} .nsewdrag").first
    x, y = middle(inside)
    top = inside.bounding_box()["y"]
    Finger(page).swipe((x, y), (x + way[0], y + way[1]))
    if way[0] == 0:
        page.wait_for_function(
            "top => document.querySelector('.nsewdrag').getBoundingClientRect().top < top - 80", arg=top
        )
    assert ranges(page) == before
    expect(page.locator(f"{FIRST} .gl-unzoom")).to_be_hidden()


@pytest.mark.parametrize("device", DEVICES)
def test_a_tap_shows_values_and_moves_the_player(open_page, server, device):
    page = open_page(viewport={"width": 900, "height": 700}, **DEVICES[device])
    visit(page, server, fresh("e"))
    at(page, "pass 59 of 59")
    finger = Finger(page)
    finger.tap(middle(page.locator(f"{FIRST} .nsewdrag").first))
    page.wait_for_selector(f"{FIRST} .hoverlayer .legend", state="attached")
    finger.tap(middle(page.get_by_role("button", name="One step back")))
    at(page, "pass 58 of 59")
    finger.tap(middle(page.locator(".gl-scrubber")))
    page.wait_for_function("Math.abs(document.querySelector('.gl-scrubber').value - 29) < 4")


@pytest.mark.parametrize("device", ["laptop", "convertible"])
def test_a_mouse_zooms_a_chart_on_a_device_that_can_be_touched(open_page, server, device):
    page = open_page(**DEVICES[device])
    visit(page, server, fresh("e"))
    before = ranges(page)
    drag(page)
    assert ranges(page) != before


def test_a_projector_gets_large_type_and_thick_lines(page, server):
    visit(page, server, fresh("e"))
    small = plot(page, "[plot.layout.font.size, plot.data.at(-1).line.width]")
    visit(page, server, fresh("e"), projector="on")
    large = plot(page, "[plot.layout.font.size, plot.data.at(-1).line.width]")
    assert 18 <= large[0] <= 20 > small[0]
    assert large[1] > 1.5 * small[1]
    expect(page.locator(".gl-caption").first).to_be_hidden()


def test_the_bar_stays_in_reach_while_the_charts_are_in_view(page, server):
    visit(page, server, fresh("e"))
    bar = page.locator(".gl-bar").bounding_box()
    assert bar["y"] + bar["height"] <= 900
    assert page.locator(".gl-panel").last.bounding_box()["y"] > 900


def test_an_earlier_run_stands_pale_behind(page, server):
    visit(page, server, fresh("e"), ghost=fresh("f"))
    expect(page.locator(".gl-chip")).to_have_text("before: learning rate 0.01")
    pale = plot(page, "plot.data.filter(trace => trace.opacity === 0.35).map(trace => trace.x.length)")
    assert pale == [80] * 5
    assert ranges(page)[0] == [0, 79]  # the ghost is inside the axes
    page.locator(".gl-scrubber").fill("20")
    points(page, 0, 21)
    assert plot(page, "plot.data[0].x.length") == 80  # and does not move


def test_a_ghost_that_is_gone_hides_nothing(page, server):
    visit(page, server, fresh("e"), ghost="0" * 32)
    at(page, "pass 59 of 59")
    expect(page.locator(".gl-chip")).to_be_hidden()
    page.problems[:] = [problem for problem in page.problems if "404" not in problem]


# --- the narrator ----------------------------------------------------------------------------------------------------


def marks(page, say):
    """Wait until the visible marks of the first chart say this, in the order in which they are known."""
    expect(page.locator(f"{FIRST} .gl-mark:not([hidden]) span")).to_have_text(say)


def test_marks_follow_the_scrubber_and_a_click_goes_to_their_moment(page, server):
    visit(page, server, fresh("e"))
    story = page.get_by_role("region", name="What happened so far")
    entries = story.get_by_role("listitem")
    expect(entries).to_have_count(7)
    expect(entries.last).to_have_text(
        "pass 34 h=8 diverges: train loss was 0.306 at pass 33 and is no number any more."
    )
    marks(page, ["h=4: diverged at 1.08", "h=8: diverged at 0.306"])
    page.locator(".gl-scrubber").fill("33")
    expect(entries).to_have_count(6)
    marks(page, ["h=4: diverged at 1.08"])
    drag(page)
    before = ranges(page)
    entries.first.get_by_role("button").click()
    at(page, "pass 10 of 59")
    expect(entries).to_have_count(1)
    assert ranges(page) == before
    press(page, "Back to the start")
    expect(entries).to_have_count(0)
    expect(story.get_by_text("Nothing has happened yet.")).to_be_visible()
    marks(page, [])


def test_a_mark_stands_on_its_line_and_speaks_when_it_is_pointed_at(page, server):
    visit(page, server, fresh("e"))
    mark = page.locator(f"{FIRST} .gl-mark").nth(1)
    expect(mark).to_be_visible()
    height, where, box, at_screen = plot(
        page,
        f"""[plot._fullLayout.yaxis.d2p(plot.data[3].y[33]) + plot._fullLayout.yaxis._offset,
        plot._fullLayout.xaxis.d2p(33) + plot._fullLayout.xaxis._offset,
        plot.getBoundingClientRect().toJSON(),
        document.querySelectorAll("{FIRST} .gl-mark")[1].getBoundingClientRect().toJSON()]""",
    )
    assert at_screen["x"] + at_screen["width"] / 2 - box["x"] == pytest.approx(where, abs=1)
    assert at_screen["y"] + at_screen["height"] / 2 - box["y"] == pytest.approx(height, abs=1)
    expect(mark.locator("span")).to_be_hidden()
    entry = page.locator(".gl-story").get_by_role("button", name="h=8 diverges")
    entry.focus()
    expect(mark.locator("span")).to_be_visible()
    entry.blur()
    expect(mark.locator("span")).to_be_hidden()
    page.locator(FIRST).scroll_into_view_if_needed()
    mark.hover()
    expect(mark.locator("span")).to_be_visible()
    mark.click()
    at(page, "pass 34 of 59")


def test_what_happens_live_is_marked_while_it_happens(page, server):
    run = fresh("b")
    visit(page, server, run)
    page.wait_for_function("document.querySelectorAll('.gl-story li:not([hidden])').length > 1")
    assert page.locator(".gl-state").inner_text().startswith("live")
    assert "reads four in five" in page.locator(".gl-said").inner_text()
    height = page.locator(".gl-story").bounding_box()["height"]
    same = page.locator(f"{FIRST} .gl-mark").first.element_handle()
    tell(server, "go", run)
    expect(page.locator(".gl-state")).to_have_text("done")
    assert page.locator(".gl-story").bounding_box()["height"] == height  # what stands below does not jump
    assert same.is_visible()  # the element that was there, not one made anew at each frame
    marks(page, ["h=4: diverged at 1.31"])
    expect(page.locator(".gl-story li:visible")).to_have_count(7)


def test_a_small_player_has_marks_and_no_story(page, server):
    visit(page, server, fresh("e"), compact="on")
    marks(page, ["h=4: diverged at 1.08", "h=8: diverged at 0.306"])
    expect(page.locator(".gl-story")).to_be_hidden()


# --- without Streamlit -----------------------------------------------------------------------------------------------


def alone(page, server, script):
    """A page that holds nothing but a player, mounted by a script that knows `mount` and the element `here`."""
    body = f"""<!doctype html><link rel="icon" href="data:,"><link rel="stylesheet" href="{asset("player.css")}">
        <script src="{asset(CHART_LIBRARY.name)}"></script><div id="here"></div>
        <script type="module">import {{ mount }} from "./{asset("player.js")}"; {script}</script>"""
    page.route("**/alone", lambda route: route.fulfill(content_type="text/html", body=body))
    page.goto(f"{server}/alone")
    page.wait_for_selector(f"{FIRST} .main-svg")


def stored(frames):
    """A finished run of that many frames, as an export holds it."""
    run = Growing("e" * 32, frames=frames, few=3).now()
    assert run.state is State.DONE
    return state(run)


def test_it_plays_without_streamlit_and_without_a_server(page, server):
    alone(
        page,
        server,
        f"""const body = {json.dumps(stored(30))};
        globalThis.moments = [];
        globalThis.asked = 0;
        const source = {{ fetch: async () => {{ asked += 1; return body; }} }};
        globalThis.player = mount(here, {{ source, frame: 10, onMoment: (frame) => moments.push(frame) }});""",
    )
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    at(page, "pass 10 of 29")
    page.keyboard.press("End")
    at(page, "pass 29 of 29")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.keyboard.press("ArrowLeft")
    at(page, "pass 28 of 29")
    assert page.evaluate("moments") == [10, None, 28]
    assert page.evaluate("asked") == 1
    page.evaluate("player.dispose()")
    expect(page.locator(".gl-player")).to_have_count(0)
    assert requests == []


def test_a_run_that_was_trained_anew_behind_our_back_is_fetched_whole(page, server):
    """The server has more frames than we hold, but of another training."""
    older, newer = {**stored(12), "state": "running"}, stored(24)
    later = {**newer, "since": 12, "steps": newer["steps"][12:]}
    assert older["created"] != newer["created"]
    alone(
        page,
        server,
        f"""const answers = [{json.dumps(older)}, {json.dumps(later)}, {json.dumps(newer)}];
        globalThis.asked = [];
        mount(here, {{ source: {{ fetch: async (since) => {{ asked.push(since); return answers.shift(); }} }} }});""",
    )
    at(page, "pass 23 of 23")
    assert page.evaluate("asked") == [0, 12, 0]
    page.wait_for_function("document.querySelector('.gl-plot')?.data?.at(-1).x.length === 24")
    assert plot(page, "plot.data[1].y[23]") == pytest.approx(newer["panels"][0]["delta"][0]["y"][23])
