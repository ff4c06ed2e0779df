// The player: the panels of a run, moved to any of its frames by one bar. Live is "follow the end".
//
// It fetches what it lacks (`since`) from a source: over HTTP beside Streamlit, from the page itself in an export.
// `mount` knows neither Streamlit nor the address bar; the last section of this file does.

import { Chart, spell } from "./chart.js";

const REPLAY_SECONDS = 8; // a whole replay at 1×, however many frames
const SPEEDS = [0.5, 1, 2, 4];
const POLL = { live: 200, idle: 600, queued: 1000, hidden: 5000, worst: 8000 }; // ms
const FASTEST_DRAW = 30; // ms between two draws; they take at most half of the time
const ENOUGH_DRAWN = 12; // ms; who scrubs sees the first chart follow, the others take turns
const FINAL = ["done", "failed", "stopped", "interrupted"];
const LEAST_SEEN = 200; // pixels of the charts
const NEAR = "300px"; // charts this close to the screen are drawn

const ICONS = {
  first: "M6 5v14M19 5 9 12l10 7z",
  back: "M16 6 8 12l8 6z",
  play: "M7 4.5v15l12-7.5z",
  pause: "M8 5v14M16 5v14",
  forward: "M8 6l8 6-8 6z",
  last: "M18 5v14M5 5l10 7-10 7z",
};

let active = null; // the player that the keys move, where a page has several

/**
 * Show a run in `element`.
 *
 * @param source {fetch(since, signal)}: gives what `core.ui.routes.state` gives; throws an Error whose `refused` says
 *   that asking again is useless.
 * @param ghost another such source: an earlier run to stand pale behind, `ghostText` saying what changed; or null.
 * @param frame the frame to show first; null: the end.
 * @param state what the page already says of the run: only another state is news to it.
 * @param replay whether a run that is there already moves from its start by itself.
 * @param look {projector, compact, height}.
 * @param onFinished called when the run becomes final.
 * @param onMoment called with the frame at which the reader stops, with null at the end.
 * @param onShown called when the panels stand with their heights, or a sentence in their place.
 * @returns the player: {restyle(look), news(state), tellMoment(), dispose()}.
 */
export function mount(element, options) {
  return new Player(element, options);
}

class Player {
  constructor(element, { source, ghost = null, ghostText = "", frame = null, state = null, replay = false, look = {}, ...listeners }) {
    this.element = element;
    this.source = source;
    this.ghost = ghost;
    this.listeners = listeners; // {onFinished, onMoment, onShown}
    this.said = state; // what the page says of the run
    this.wanted = frame;
    this.toReplay = replay; // as soon as it is there
    this.charts = [];
    this.steps = []; // of all frames so far
    this.told = []; // what the narrator found: {mark, entry}
    this.happened = 0; // how many of these by the frame that is shown
    this.body = null; // the last answer
    this.arrived = false; // whether the first frame is there
    this.head = 0; // where we are; its whole part is the frame
    this.following = true; // the end, as it grows
    this.playing = false;
    this.speed = 1;
    this.painted = -Infinity; // when, and how long it took
    this.cost = 0;
    this.turn = 0; // which of the charts below the first was drawn last
    this.stop = new AbortController(); // ends every listener and every fetch
    this.#build(ghostText);
    this.restyle(look);
    this.#listen();
    this.#poll();
  }

  // --- where we are

  get frame() {
    return Math.floor(this.head);
  }

  get last() {
    return Math.max(0, this.steps.length - 1);
  }

  get live() {
    return this.body !== null && !FINAL.includes(this.body.state);
  }

  get moving() {
    return this.playing || (this.live && this.following);
  }

  /** Go to a frame and stay there; at the end of a live run, follow it. */
  seek(frame) {
    this.playing = false;
    this.head = Math.min(Math.max(0, frame), this.last);
    this.following = this.live && this.frame === this.last;
    this.tellMoment();
    this.#changed();
  }

  toggle() {
    if (this.moving) this.playing = this.following = false;
    else if (this.frame < this.last) this.playing = true;
    else if (this.live) this.following = true;
    else [this.head, this.playing] = [0, this.last > 0];
    this.clock = performance.now();
    this.tellMoment();
    this.#changed();
  }

  /** Run was pressed for what is here: let it grow once more. What still trains grows anyway. */
  replay() {
    this.toReplay = !this.arrived;
    if (!this.arrived || this.live) return;
    [this.head, this.playing] = [0, this.last > 0];
    this.clock = performance.now();
    this.#changed();
  }

  /** Bring the charts onto a screen that hardly has them: whoever pressed Run there would see nothing happen. */
  reveal() {
    if (this.root.getBoundingClientRect().top < innerHeight - LEAST_SEEN) return;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.root.scrollIntoView({ block: "start", behavior: still ? "auto" : "smooth" });
  }

  /** The replay has its own pace: a long run and a short one take the same time. */
  #advance(now) {
    const seconds = Math.min(0.25, Math.max(0, (now - this.clock) / 1000));
    this.clock = now;
    this.head = Math.min(this.last, this.head + (seconds * this.speed * this.last) / REPLAY_SECONDS);
    if (this.head < this.last) return;
    this.playing = false;
    this.following = this.live;
    this.tellMoment();
  }

  tellMoment() {
    if (!this.arrived || this.playing) return;
    this.listeners.onMoment?.(this.frame < this.last ? this.frame : null);
  }

  // --- the frames of the run

  async #poll() {
    let failures = 0;
    let pause = POLL.live;
    while (!this.stop.signal.aborted) {
      this.hurried = false;
      const [asked, had] = [performance.now(), this.steps.length];
      let wait;
      try {
        const answer = await this.source.fetch(had, this.stop.signal);
        const took = performance.now() - asked;
        await this.#take(answer);
        failures = 0;
        pause = this.steps.length > had ? POLL.live : Math.min(POLL.idle, 1.5 * pause);
        // A server that takes long to answer is asked less often.
        wait = this.body.state === "queued" ? POLL.queued : Math.max(pause, 4 * took);
        if (!this.live) wait = Infinity;
      } catch (error) {
        if (this.stop.signal.aborted) return;
        failures += 1;
        wait = error.refused ? Infinity : Math.min(POLL.worst, POLL.live * 2 ** failures);
        if (error.refused || failures > 2) this.#complain(error.message);
      }
      await this.#sleep(document.hidden ? Math.max(wait, POLL.hidden) : wait);
    }
  }

  #sleep(wait) {
    return new Promise((resolve) => {
      this.wake = resolve;
      if (this.hurried) resolve();
      else if (Number.isFinite(wait)) this.timer = setTimeout(resolve, wait);
    });
  }

  /** Ask now and not later; where an answer is under way, ask again after it. */
  #hurry() {
    this.hurried = true;
    clearTimeout(this.timer);
    this.wake?.();
  }

  /** The page says that something became of the run: look at once. */
  news(state) {
    if (state === this.said) return;
    this.said = state;
    this.#hurry();
  }

  async #take(answer) {
    let body = answer;
    const other = this.body !== null && this.body.created !== body.created;
    if (other || body.since !== this.steps.length || body.frames < body.since) {
      this.#forget(); // trained again, or lost by the server: what we hold is of another run
      if (body.since !== 0) body = await this.source.fetch(0, this.stop.signal);
    }
    if (!this.charts.length) await this.#buildCharts(body);
    this.steps.push(...body.steps);
    body.panels.forEach((panel, i) => this.charts[i].append(panel.delta));
    body.marks?.forEach((mark) => this.#tell(mark, body));
    this.body = body;
    this.#keepUp();
    this.#showState();
    this.#changed();
    const said = this.said;
    this.said = body.state;
    if (!this.live && said !== null && !FINAL.includes(said)) this.listeners.onFinished?.();
  }

  /** Something happened: it stands on the charts and in the story from its frame on. */
  #tell(mark, { axis, since }) {
    for (const [panel, trace] of mark.lines) this.charts[panel].mark(mark, trace);
    const entry = document.createElement("li");
    const button = Object.assign(document.createElement("button"), { type: "button" });
    const when = Object.assign(document.createElement("span"), { textContent: `${axis} ${spell(this.steps[mark.frame])}` });
    button.append(when, ` ${mark.sentence}`);
    button.addEventListener("click", () => this.seek(mark.frame));
    const point = (on) => this.charts.forEach((chart) => chart.point(mark, on));
    for (const name of ["mouseenter", "focus"]) button.addEventListener(name, () => point(true));
    for (const name of ["mouseleave", "blur"]) button.addEventListener(name, () => point(false));
    entry.append(button);
    entry.hidden = true;
    this.story.querySelector("ol").append(entry);
    this.told.push({ mark, entry });
    if (since > 0) this.voice.textContent = mark.sentence; // it happened just now
  }

  /** Where the new frames leave us. */
  #keepUp() {
    if (!this.arrived && this.steps.length) {
      this.arrived = true;
      if (this.wanted !== null && this.wanted < this.last) [this.head, this.following] = [this.wanted, false];
    }
    if (this.following) this.head = this.last;
    if (!this.live) this.following = false;
    if (this.arrived && this.toReplay) this.replay();
    if (!this.moving) this.tellMoment();
  }

  #forget() {
    this.panels.style.minHeight = `${this.panels.clientHeight}px`; // the page does not jump meanwhile
    this.charts.forEach((chart) => chart.dispose());
    [this.charts, this.steps, this.body, this.wanted] = [[], [], null, null];
    [this.arrived, this.following, this.playing, this.head] = [false, true, false, 0];
    this.told.forEach(({ entry }) => entry.remove());
    [this.told, this.happened] = [[], 0];
    this.progress.style.width = "0"; // of the run before
  }

  async #buildCharts(body) {
    // A ghost that is gone is no reason to show nothing.
    const before = await this.ghost?.fetch(0, this.stop.signal).catch(() => null);
    this.stop.signal.throwIfAborted();
    const ghostOf = (name) => before?.panels.find((panel) => panel.name === name);
    this.chip.hidden = !before || !this.chip.textContent;
    this.charts = body.panels.map((spec) => {
      const panel = ghostOf(spec.name);
      const ghost = panel ? { panel, steps: before.steps } : null;
      const { steps, look } = this;
      const onPick = (mark) => this.seek(mark.frame);
      return new Chart({ spec, ghost, steps, axisName: body.axis, look, Plotly: globalThis.Plotly, onPick });
    });
    this.panels.replaceChildren(...this.charts.map((chart) => chart.element));
    this.panels.dataset.odd = String(this.charts.length % 2 === 1);
    this.charts.forEach((chart) => this.nearness.observe(chart.element));
    this.panels.style.minHeight = "";
    this.listeners.onShown?.();
  }

  // --- drawing: at most one paint a screen frame, and only of what can be seen

  #changed() {
    this.#showPlace();
    this.pending ??= requestAnimationFrame((now) => this.#paint(now));
  }

  #paint(now) {
    this.pending = null;
    if (this.stop.signal.aborted) return;
    if (this.playing) this.#advance(now);
    if (now - this.painted >= Math.max(FASTEST_DRAW, 2 * this.cost)) {
      const start = performance.now();
      const whole = this.#draw(start);
      this.cost = performance.now() - start;
      this.painted = now;
      if (!this.playing && whole) return this.#showPlace();
    }
    this.#changed();
  }

  /** The first chart on the screen and at least one other, more as time allows, in turn. Whether all show the frame. */
  #draw(start) {
    const [first, ...others] = this.arrived || this.body ? this.charts.filter((chart) => chart.near) : [];
    first?.draw(this.frame);
    for (let drawn = 0; drawn < others.length; drawn++) {
      this.turn = (this.turn + 1) % others.length;
      others[this.turn].draw(this.frame);
      if (performance.now() - start > ENOUGH_DRAWN) break;
    }
    return others.every((chart) => chart.frame === this.frame);
  }

  /** Theme colours and sizes of type: from the page's style sheet, where Streamlit puts its theme. */
  restyle(asked = this.asked) {
    this.asked = asked;
    const projector = Boolean(asked.projector) || this.element.closest("[data-projector]") !== null;
    this.root.classList.toggle("gl-projector", projector);
    this.root.classList.toggle("gl-compact", Boolean(asked.compact));
    this.root.style.setProperty("--gl-height", asked.height ? `${asked.height}px` : "");
    const { color, backgroundColor, fontFamily } = getComputedStyle(this.root);
    const look = {
      text: color,
      faint: seeThrough(color, 0.72),
      grid: seeThrough(color, 0.13),
      paper: backgroundColor,
      font: fontFamily,
      size: projector ? 19 : asked.compact ? 11 : 13,
      thicker: projector ? 1.8 : 1,
    };
    if (JSON.stringify(look) === JSON.stringify(this.look)) return;
    this.look = look;
    this.charts.forEach((chart) => chart.restyle(look));
  }

  // --- the bar

  #build(ghostText) {
    this.root = document.createElement("div");
    this.root.className = "gl-player";
    this.root.innerHTML = `
      <p class="gl-chip" hidden></p>
      <div class="gl-panels" aria-busy="true"></div>
      <div class="gl-bar" role="group" aria-label="Player">
        <div class="gl-progress"><i></i></div>
        <p class="gl-message" role="alert" hidden></p>
        <div class="gl-buttons">
          ${button("first", "Back to the start")}
          ${button("back", "One step back")}
          ${button("play", "Play")}
          ${button("forward", "One step forward")}
          ${button("last", "To the end")}
          <select class="gl-speed" aria-label="Speed">
            ${SPEEDS.map((speed) => `<option value="${speed}"${speed === 1 ? " selected" : ""}>${speed}×</option>`).join("")}
          </select>
        </div>
        <input class="gl-scrubber" type="range" min="0" max="0" step="1" value="0" aria-label="Moment of the run">
        <span class="gl-place"></span>
        <span class="gl-state"></span>
        <span class="gl-said" role="status"></span>
      </div>
      <section class="gl-story" aria-label="What happened so far" hidden>
        <p>Nothing has happened yet.</p>
        <ol></ol>
      </section>`;
    const find = (selector) => this.root.querySelector(selector);
    [this.chip, this.panels, this.bar] = [".gl-chip", ".gl-panels", ".gl-bar"].map(find);
    [this.scrubber, this.place, this.state] = [".gl-scrubber", ".gl-place", ".gl-state"].map(find);
    [this.message, this.progress, this.speeds] = [".gl-message", ".gl-progress i", ".gl-speed"].map(find);
    [this.playButton, this.story, this.voice] = [".gl-play", ".gl-story", ".gl-said"].map(find);
    this.buttons = this.root.querySelectorAll(".gl-button");
    this.chip.textContent = ghostText;
    this.nearness = new IntersectionObserver((seen) => this.#see(seen), { rootMargin: NEAR });
    this.element.append(this.root);
  }

  #listen() {
    const on = (target, name, does) => target.addEventListener(name, does, { signal: this.stop.signal });
    const pressed = {
      first: () => this.seek(0),
      back: () => this.seek(this.frame - 1),
      play: () => this.toggle(),
      forward: () => this.seek(this.frame + 1),
      last: () => this.seek(this.last),
    };
    for (const [name, does] of Object.entries(pressed)) on(this.root.querySelector(`.gl-${name}`), "click", does);
    on(this.scrubber, "input", () => this.seek(Number(this.scrubber.value)));
    on(this.speeds, "change", () => (this.speed = Number(this.speeds.value)));
    on(document, "visibilitychange", () => !document.hidden && (this.live || !this.body) && this.#hurry());
    on(document, "keydown", (event) => this.#key(event));
    on(matchMedia("(prefers-color-scheme: dark)"), "change", () => this.restyle());
    for (const name of ["pointerdown", "focusin"]) on(this.root, name, () => (active = this));
    // Twice on the way to paper: with the page as it is on the screen, and, where a browser tells, as it will be printed.
    on(globalThis, "beforeprint", () => this.#print(true));
    on(globalThis, "afterprint", () => this.#print(matchMedia("print").matches));
    on(matchMedia("print"), "change", ({ matches }) => this.#print(matches));
    this.nearness.observe(this.root);
  }

  /**
   * Make everything ready for paper, or for the screen again: dark on white, and every chart drawn at the frame and
   * the width that it now has, also those that nobody has scrolled to. At once, since a browser that prints waits for
   * nothing.
   */
  #print(on) {
    this.root.classList.toggle("gl-printing", on);
    this.restyle();
    if (on) this.charts.forEach((chart) => chart.draw(this.frame));
    this.charts.forEach((chart) => chart.resize());
  }

  #see(seen) {
    for (const { target, isIntersecting } of seen) {
      if (target === this.root) this.onScreen = isIntersecting;
      const chart = this.charts.find((each) => each.element === target);
      if (chart) chart.near = isIntersecting || chart.decodes;
    }
    this.#changed();
  }

  #key(event) {
    active ??= this;
    if (active !== this || !this.onScreen || event.defaultPrevented) return;
    if (event.ctrlKey || event.metaKey || event.altKey || takesKey(event.target, event.key)) return;
    const leap = Math.max(1, Math.round(this.last / 10));
    const does = {
      " ": () => this.toggle(),
      ArrowLeft: () => this.seek(this.frame - 1),
      ArrowRight: () => this.seek(this.frame + 1),
      Home: () => this.seek(0),
      End: () => this.seek(this.last),
    };
    // The two keys that every clicker has; elsewhere they scroll the page.
    if (this.asked.projector) {
      does.PageUp = () => this.seek(this.frame - leap);
      does.PageDown = () => this.seek(this.frame + leap);
    }
    if (!does[event.key]) return;
    event.preventDefault();
    does[event.key]();
  }

  #showPlace() {
    const axis = this.body?.axis ?? "";
    const [now, end] = [this.steps[this.frame], this.steps[this.last]].map((step) => spell(step ?? NaN));
    const text = !this.arrived ? "" : this.live ? `${axis} ${now}` : `${axis} ${now} of ${end}`;
    this.place.textContent = text;
    this.root.dataset.moment = text; // on paper
    this.place.style.minWidth = `${`${axis} ${end} of ${end}`.length * 0.56}em`; // the bar does not twitch
    Object.assign(this.scrubber, { max: String(this.last), value: String(this.frame), disabled: this.last === 0 });
    this.scrubber.setAttribute("aria-valuetext", text || "no frame yet");
    this.scrubber.style.setProperty("--gl-share", String(this.last ? this.frame / this.last : 0));
    this.#showStory();
    for (const each of this.buttons) each.disabled = !this.arrived;
    const [name, label] = this.moving && this.arrived ? ["pause", "Pause"] : ["play", this.live && this.arrived ? "Go on" : "Play"];
    if (this.playButton.dataset.icon === name && this.playButton.ariaLabel === label) return;
    this.playButton.dataset.icon = name;
    this.playButton.title = this.playButton.ariaLabel = label;
    this.playButton.querySelector("path").setAttribute("d", ICONS[name]);
  }

  /** What has happened up to the frame, the newest in view. */
  #showStory() {
    const happened = this.told.filter(({ mark }) => mark.frame <= this.frame).length;
    if (this.happened === happened) return;
    this.happened = happened;
    this.told.forEach(({ entry }, i) => (entry.hidden = i >= happened));
    this.story.querySelector("p").hidden = happened > 0;
    this.story.scrollTop = this.story.scrollHeight;
  }

  #showState() {
    const { state, progress, error } = this.body;
    const text = sayState(this.body);
    if (this.state.textContent !== text) this.state.textContent = text;
    // A screen reader hears what became of the run, and not the seconds counting down.
    if (this.root.dataset.state !== state) this.voice.textContent = `run ${state}`;
    this.root.dataset.state = state;
    this.panels.setAttribute("aria-busy", String(this.live));
    this.progress.style.width = `${100 * progress}%`;
    this.progress.parentElement.hidden = !this.live;
    // Where nothing happened to the end there is no story, unless its place was kept meanwhile.
    if (this.body.marks && (this.live || this.told.length)) this.story.hidden = false;
    if (!this.live && !this.told.length) this.story.querySelector("p").textContent = "Nothing stood out in this run.";
    this.message.hidden = !error;
    this.message.textContent = error;
  }

  #complain(sentence) {
    this.message.hidden = false;
    this.message.textContent = sentence;
    this.panels.setAttribute("aria-busy", "false");
    this.listeners.onShown?.();
  }

  dispose() {
    this.stop.abort();
    this.#hurry();
    cancelAnimationFrame(this.pending);
    this.nearness.disconnect();
    this.charts.forEach((chart) => chart.dispose());
    this.root.remove();
    if (active === this) active = null;
  }
}

function button(name, label) {
  const icon = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;
  return `<button type="button" class="gl-button gl-${name}" aria-label="${label}" title="${label}">${icon}</button>`;
}

function sayState({ state, place, seconds_left: seconds }) {
  const time = seconds === null ? "" : seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
  if (state === "queued") {
    return [place > 0 ? `in line: place ${place}` : "in line", time && `starts in ${time}`].filter(Boolean).join(", ");
  }
  if (state !== "running") return state;
  return time ? `live · ${time} left` : "live";
}

/** Whether a key belongs to what has the focus: a text field, a slider, a button for the space bar. */
function takesKey(target, key) {
  if (!(target instanceof Element) || target === document.body) return false;
  if (target.closest(".gl-scrubber")) return key !== " ";
  if (target.closest("input, textarea, select, [contenteditable=''], [contenteditable=true], [role=slider]")) return true;
  if (target.closest("[role=radiogroup], [role=tablist], [role=listbox], [role=menu], [role=dialog], .gl-table")) return true;
  return key === " " && target.closest("button, a, summary, [role=button]") !== null;
}

/** "rgb(1, 2, 3)" with an opacity. */
function seeThrough(colour, opacity) {
  const [red, green, blue] = colour.match(/[\d.]+/g) ?? [128, 128, 128];
  return `rgba(${red}, ${green}, ${blue}, ${opacity})`;
}

// --- beside Streamlit ------------------------------------------------------------------------------------------------

const mounted = new WeakMap(); // Streamlit's element → what stands in it
const loading = new Map(); // files that are there or on their way

/**
 * Streamlit calls this for the first data, for every other data and for another theme, always with the same element.
 * It calls only the newest of the functions that it got back, and not in a strict order: each cleans up only where no
 * later call has taken over.
 *
 * @param assets addresses of the {style, plotly} to load.
 */
export default async function (component, assets) {
  const { data, parentElement: parent, setTriggerValue } = component;
  const call = Symbol(data.run);
  const held = mounted.get(parent) ?? { signature: "", player: null };
  mounted.set(parent, Object.assign(held, { call, onFinished: () => setTriggerValue("finished", data.run) }));
  const cleanUp = () => {
    if (held.call !== call) return;
    held.player?.dispose();
    held.stop?.abort();
    mounted.delete(parent);
  };
  try {
    await Promise.all([load(assets.style, styleSheet), load(assets.plotly, script)]);
  } catch (error) {
    parent.append(Object.assign(document.createElement("p"), { textContent: error.message }));
    return cleanUp;
  }
  if (held.call === call) show(parent, held, data);
  return cleanUp;
}

function show(parent, held, data) {
  const { run, source, ghost, ghost_text: ghostText, frame, state, link, presses, ...look } = data;
  const signature = JSON.stringify([run, source, ghost, ghostText, link]);
  const replay = held.presses !== undefined && presses !== held.presses; // a page that comes back has no news
  held.presses = presses;
  if (held.signature === signature) {
    held.player.restyle(look);
    held.player.news(state);
    if (!replay) return;
    held.player.replay();
    held.player.reveal();
    return;
  }
  // The page keeps its height while another run comes.
  parent.style.minHeight = `${parent.clientHeight}px`;
  held.player?.dispose();
  held.stop?.abort();
  held.stop = new AbortController();
  held.signature = signature;
  held.player = mount(parent, {
    source: server(source),
    ghost: ghost ? server(ghost) : null,
    ghostText,
    frame,
    state,
    replay,
    look,
    onFinished: () => held.onFinished(),
    onMoment: link ? writeFrame : null,
    onShown: () => (parent.style.minHeight = ""),
  });
  if (replay) held.player.reveal();
  // Streamlit writes the address from what it knows, and it does not know the frame: say it again.
  const again = () => held.player.tellMoment();
  if (link) globalThis.navigation?.addEventListener("currententrychange", again, { signal: held.stop.signal });
  // An address that was to be written is not this player's any more once it has gone.
  held.stop.signal.addEventListener("abort", () => clearTimeout(writeFrame.timer));
}

/** The source beside Streamlit: `core.ui.routes`, at an address relative to the page. */
function server(path) {
  return {
    async fetch(since, signal) {
      const address = new URL(path, document.baseURI);
      address.searchParams.set("since", since);
      const answer = await fetch(address, { signal }).catch((cause) => {
        throw new Error("The server does not answer. What you see stays; the rest comes when it is back.", { cause });
      });
      const body = await answer.json().catch(() => ({}));
      if (answer.ok && body.panels) return body;
      const refused = answer.status >= 400 && answer.status < 500;
      const sentence = `The server ${refused ? "refuses" : "fails to give"} this run (${answer.status}). Reload the page to try again.`;
      throw Object.assign(new Error(body.error ?? sentence), { refused });
    },
  };
}

/** Let the address say the frame, or nothing at the end. No new entry in the history, no run of the script. */
function writeFrame(frame) {
  clearTimeout(writeFrame.timer);
  // A browser refuses more than some hundred changes in half a minute, and scrubbing makes more.
  writeFrame.timer = setTimeout(() => {
    const address = new URL(location.href);
    if (frame === null) address.searchParams.delete("frame");
    else address.searchParams.set("frame", String(frame));
    if (address.href !== location.href) history.replaceState(history.state, "", address);
  }, 250);
}

function load(address, how) {
  if (!loading.has(address)) loading.set(address, how(address));
  return loading.get(address);
}

function styleSheet(address) {
  return append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: address }));
}

function script(address) {
  return globalThis.Plotly ? null : append(Object.assign(document.createElement("script"), { src: address }));
}

function append(element) {
  return new Promise((resolve, reject) => {
    element.onload = resolve;
    element.onerror = () => {
      loading.delete(element.href ?? element.src);
      reject(new Error("The charts could not be loaded from the server. Reload the page to try again."));
    };
    document.head.append(element);
  });
}
