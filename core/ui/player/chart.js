// One panel: a Plotly chart that is built once and then moved to any frame, with its labels and its table.
//
// A frame never travels twice: the panel keeps what it was sent, and `draw(frame)` shows views of it. Measured on ten
// curves of 1,000 points, writing into the plot's own data and calling `Plotly.redraw` costs 12 ms; `Plotly.update`
// costs 41 and `Plotly.extendTraces`, which cannot go back, 22.

const AXIS = /^[xy]axis\d*$/;
const LABEL_GAP = 6; // px between the tip of a line and its label
const WIDEST_LABEL = 132; // px, at the usual size of type, where a chart is narrow
const MOST_FOR_LABELS = 0.38; // of a chart's width
const MOST_ROWS = 200; // of a table
const LESSON_TYPE = 13; // px of the page's type where a lesson chose a size for its words

// --- what a panel keeps ----------------------------------------------------------------------------------------------

/** The points of a growing trace, in arrays with room to spare: a slice is a view and copies nothing. */
class Column {
  constructor() {
    this.length = 0;
    this.frames = new Int32Array(64);
    this.x = new Float64Array(64);
    this.y = new Float64Array(64);
  }

  append(frames, steps, y) {
    this.#makeRoom(this.length + frames.length);
    frames.forEach((frame, i) => {
      this.frames[this.length] = frame;
      this.x[this.length] = steps[frame];
      this.y[this.length] = y[i] ?? NaN; // null is a gap
      this.length += 1;
    });
  }

  #makeRoom(wanted) {
    if (wanted <= this.frames.length) return;
    const room = Math.max(wanted, 2 * this.frames.length);
    for (const name of ["frames", "x", "y"]) {
      const wider = new this[name].constructor(room);
      wider.set(this[name].subarray(0, this.length));
      this[name] = wider;
    }
  }

  /** How many points there are up to and with `frame`. */
  upto(frame) {
    return countUpto(this.frames, this.length, frame);
  }
}

/** The pictures that one attribute of a trace shows, each from its frame on. */
class Film {
  constructor(before) {
    this.before = before; // what stands there until the first picture comes
    this.frames = [];
    this.values = [];
  }

  append(frames, values) {
    this.frames.push(...frames);
    this.values.push(...values.map(unpack));
  }

  /** The number of the picture that shows at `frame`; -1: none yet. */
  index(frame) {
    return countUpto(this.frames, this.frames.length, frame) - 1;
  }

  at(index) {
    return index < 0 ? this.before : this.values[index];
  }
}

/** How many of the first `length` frame numbers, which rise, are at most `frame`. */
function countUpto(frames, length, frame) {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (frames[middle] <= frame) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** An array as `core.panels.pack` wrote it: text as it is or in a list, numbers as float32 in base64. */
function unpack(packed) {
  if (typeof packed === "string" || Array.isArray(packed)) return packed;
  const numbers = new Float32Array(bytes(packed.f4).buffer);
  if (packed.shape.length === 0) return numbers[0];
  if (packed.shape.length === 1) return numbers;
  const width = packed.shape[1];
  return Array.from({ length: packed.shape[0] }, (_, row) => numbers.subarray(row * width, (row + 1) * width));
}

const NUMBERS = {
  f4: Float32Array, f8: Float64Array,
  i1: Int8Array, i2: Int16Array, i4: Int32Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array,
}; // prettier-ignore

/** The values of a trace's attribute as Plotly's Python side wrote them: a list, or a typed array in base64. */
function values(attribute) {
  if (!attribute) return [];
  return attribute.bdata ? new NUMBERS[attribute.dtype](bytes(attribute.bdata).buffer) : attribute;
}

function bytes(base64) {
  const text = atob(base64);
  const found = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) found[i] = text.charCodeAt(i);
  return found;
}

// --- axes ------------------------------------------------------------------------------------------------------------

/** The range of an axis: over all points that were ever loaded, so that replay never shrinks it. It only grows. */
class Axis {
  constructor(layout, traces, isX) {
    this.fixed = layout.range ?? [null, null];
    this.log = layout.type === "log";
    this.isX = isX;
    this.low = this.high = NaN;
    this.held = false; // by the reader, who zoomed
    this.marks = traces.some((trace) => String(trace.mode ?? "markers").includes("markers"));
    this.fromZero = layout.rangemode === "tozero" || traces.some((trace) => trace.type === "bar");
    // What is not a plain axis of numbers is left to Plotly.
    const kinds = isX ? ["scatter", "scattergl"] : ["scatter", "scattergl", "bar"];
    this.ours =
      !["category", "date", "multicategory"].includes(layout.type) &&
      traces.length > 0 &&
      traces.every((trace) => kinds.includes(trace.type ?? "scatter") && !trace.stackgroup);
  }

  add(numbers) {
    if (!this.ours) return;
    for (const number of numbers) {
      if (typeof number === "string") this.ours = false;
      if (!Number.isFinite(number) || (this.log && number <= 0)) continue;
      if (!(number >= this.low)) this.low = number;
      if (!(number <= this.high)) this.high = number;
    }
  }

  /** The range that shows everything, as Plotly wants it; null: Plotly is to find one. */
  get range() {
    const [low, high] = this.fixed;
    if (low !== null && high !== null) return [low, high];
    if (!this.ours || Number.isNaN(this.low)) return null;
    const [from, to] = this.log ? this.#logarithmic() : this.#linear();
    return [low ?? from, high ?? to];
  }

  /**
   * Numbers on a logarithmic axis. Few decades: 0.1, 0.2, 0.5, 1 …; many, or less than one: as Plotly or the lesson
   * has it; and powers of ten where plain numbers get long.
   */
  ticks(asked) {
    const [low, high] = this.range;
    const exponentformat = Math.min(low, high) > -4.5 && Math.max(low, high) < 3.9 ? "none" : "power";
    if (asked.tickvals || asked.dtick) return { exponentformat };
    const decades = Math.abs(high - low);
    if (decades > 2.5 || decades < 0.7) return { exponentformat, tickmode: "auto" }; // 0.9, 1, 1.1 … on a short one
    return { exponentformat, tickmode: "linear", tick0: 0, dtick: "D2" };
  }

  #logarithmic() {
    const [low, high] = [Math.log10(this.low), Math.log10(this.high)];
    const pad = this.#pad(high - low) || (high > low ? 0 : 0.5);
    return [low - pad, high + pad];
  }

  #linear() {
    const low = this.fromZero ? Math.min(0, this.low) : this.low;
    const high = this.fromZero ? Math.max(0, this.high) : this.high;
    if (high === low) return this.isX ? [low, low + 1] : [low - Math.abs(low) / 10 - 0.1, low + Math.abs(low) / 10 + 0.1];
    const pad = this.#pad(high - low);
    return [low >= 0 && low - pad < 0 ? 0 : low - pad, high <= 0 && high + pad > 0 ? 0 : high + pad];
  }

  #pad(span) {
    return span * (this.isX && !this.marks ? 0 : 0.05); // a line may touch its frame at the side, a dot may not
  }
}

// --- the panel -------------------------------------------------------------------------------------------------------

export class Chart {
  /**
   * @param spec one of a run's panels: {name, caption, figure, bindings, delta}.
   * @param ghost the same panel of an earlier run with its steps, {panel, steps}, to stand pale behind; or null.
   * @param steps the steps of all frames so far; the array grows in place.
   * @param axisName what a step counts: "pass".
   * @param onPick called with a mark that was clicked.
   */
  constructor({ spec, ghost, steps, axisName, look, Plotly, onPick }) {
    this.spec = spec;
    this.steps = steps;
    this.axisName = axisName;
    this.look = look;
    this.Plotly = Plotly;
    this.onPick = onPick;
    this.near = false; // whether it is on the screen or close to it; an observer says so at once
    this.plot = null; // Plotly's element, once it is drawn
    this.frame = -1;
    this.tips = [];
    this.marks = []; // what the narrator found on our lines
    this.traces = spec.figure.data.map((trace, i) => watch(trace, spec.bindings[i].moves));
    // Whether it shows an image, which a browser decodes a moment after it is drawn: too late for a print that begins.
    this.decodes = spec.figure.data.some((trace) => trace.type === "image");
    this.ghosts = ghost ? paleLines(ghost.panel, ghost.steps) : [];
    this.axes = this.#findAxes();
    this.labelled = this.traces.filter((each) => each.trace.meta?.label && isLine(each.trace));
    this.labelled.forEach((each) => (each.colour = each.trace.line?.color ?? each.trace.marker?.color));
    this.element = this.#build();
  }

  /** Take in what new frames added; their steps are in `steps` by now. */
  append(delta) {
    for (const entry of delta) {
      const each = this.traces[entry.trace];
      if (entry.set) {
        const film = (each.films[entry.set] ??= new Film(get(each.trace, entry.set)));
        const had = film.values.length;
        film.append(entry.frames, entry.values);
        if (entry.set === "x" || entry.set === "y") {
          film.values.slice(had).forEach((picture) => this.#axisOf(each.trace, entry.set).add(picture));
        }
      } else {
        const had = each.column.length;
        each.column.append(entry.frames, this.steps, entry.y);
        this.#axisOf(each.trace, "x").add(each.column.x.subarray(had, each.column.length));
        this.#axisOf(each.trace, "y").add(each.column.y.subarray(had, each.column.length));
      }
    }
    this.frame = -1; // ranges may have grown
  }

  /** Put a mark of the narrator's on one of our traces; it shows from its frame on. */
  mark(mark, number) {
    const { trace } = this.traces[number];
    const element = drawMark(mark, trace.line?.color ?? trace.marker?.color);
    element.addEventListener("click", () => this.onPick(mark));
    this.marks.push({ mark, trace, element });
    this.markLayer.append(element);
  }

  /** Let a mark say what it is, or not any more. */
  point(mark, on) {
    for (const each of this.marks) if (each.mark === mark) each.element.classList.toggle("gl-pointed", on);
  }

  /** Show the panel as it was at `frame`. One drawing, none where nothing changed. */
  draw(frame) {
    if (frame === this.frame) return;
    this.frame = frame;
    const moved = this.traces.map((each) => each.show(frame));
    const any = moved.includes(true);
    if (this.plot === null) this.#plotFirst();
    else if (this.#setRanges() || (any && !this.#drawLines(moved))) this.Plotly.redraw(this.plot);
    this.#label();
    if (any) this.#refreshTable();
  }

  /**
   * Draw the lines alone, where nothing else can have changed: a seventh of the time of Plotly's redraw, which makes
   * axes, legend and defaults anew, and what lets a reader scrub without a GPU. It takes the steps that Plotly's own
   * redraw takes for a line. Whether it could be done.
   */
  #drawLines(moved) {
    const { plot } = this;
    const full = plot._fullLayout;
    if (Object.keys(this.axes).some((name) => full[name]?.autorange !== false)) return false;
    const lines = this.traces.map((each, i) => [each, plot._fullData[this.ghosts.length + i]]).filter((_, i) => moved[i]);
    const ready = ([{ column, trace }, line]) =>
      column && trace.mode && line.type === "scatter" && line.visible === true && trace.x.length > 0;
    if (!lines.every(ready)) return false;
    for (const [{ trace }, line] of lines) {
      Object.assign(line, { x: trace.x, y: trace.y, _length: trace.x.length });
      const points = line._module.calc(plot, line);
      Object.assign(points[0], { t: {}, trace: line });
      plot.calcdata[line.index] = points;
    }
    for (const each of full._basePlotModules) each.plot(plot);
    plot.emit("plotly_afterplot");
    return true;
  }

  /** Another theme, or another size of type. */
  restyle(look) {
    this.look = look;
    if (!this.plot) return;
    assignDeep(this.plot.layout, this.#style());
    for (const each of this.traces) each.dress(look);
    this.#fit();
  }

  /** Its place on the page may be of another size now. */
  resize() {
    if (!this.plot || !this.plot.clientWidth) return;
    const { width, height } = this.plot._fullLayout;
    const same = Math.abs(width - this.plot.clientWidth) < 1 && Math.abs(height - this.plot.clientHeight) < 1;
    if (!same) this.#fit();
  }

  /**
   * Draw everything anew at the size of its place; `Plotly.Plots.resize` would do so a tenth of a second later. Plotly
   * places a legend by the margins that it finds: one that takes fewer rows than before comes right the second time.
   */
  #fit() {
    const { clientWidth: width, clientHeight: height } = this.plot;
    if (width) Object.assign(this.plot.layout, { width, height });
    const { t: before } = this.plot._fullLayout._size;
    this.Plotly.redraw(this.plot);
    if (this.plot._fullLayout._size.t !== before) this.Plotly.redraw(this.plot);
    this.#label();
  }

  dispose() {
    this.observer?.disconnect();
    if (this.plot) this.Plotly.purge(this.plot);
    this.plot = null;
    this.element.remove();
  }

  // --- its page elements

  #build() {
    const element = document.createElement("section");
    element.className = "gl-panel";
    element.innerHTML = `
      <header class="gl-head">
        <h3 class="gl-title"></h3>
        <div class="gl-tools">
          <button type="button" class="gl-tool gl-unzoom" hidden>Reset zoom</button>
          <button type="button" class="gl-tool gl-totable" aria-expanded="false">Table</button>
          <button type="button" class="gl-tool gl-topng">PNG</button>
        </div>
      </header>
      <p class="gl-caption"></p>
      <div class="gl-chart">
        <div class="gl-plot" role="img"></div>
        <div class="gl-labels" aria-hidden="true"></div>
        <div class="gl-marks" aria-hidden="true"></div>
      </div>
      <div class="gl-table" role="region" tabindex="0" hidden></div>`;
    const { name, caption } = this.spec;
    const find = (selector) => element.querySelector(selector);
    find(".gl-title").textContent = name;
    find(".gl-caption").textContent = caption;
    find(".gl-plot").setAttribute("aria-label", `${name}. ${caption}`);
    find(".gl-table").setAttribute("aria-label", `${name}, as a table`);
    for (const [selector, does] of [[".gl-unzoom", "Reset the zoom"], [".gl-totable", "Table"], [".gl-topng", "Save as PNG"]]) {
      find(selector).setAttribute("aria-label", `${does}: ${name}`);
    }
    find(".gl-unzoom").addEventListener("click", () => this.#letGo());
    find(".gl-totable").addEventListener("click", () => this.#toggleTable());
    find(".gl-topng").addEventListener("click", () => this.#savePicture());
    // A mouse zooms the chart, a finger scrolls the page, on whatever device: Plotly does not hear of touches. A tap
    // still shows values, since the browser makes it a click of the mouse.
    find(".gl-plot").addEventListener("touchstart", (event) => event.stopPropagation(), { capture: true, passive: true });
    [this.canvas, this.overlay, this.table] = [".gl-plot", ".gl-labels", ".gl-table"].map(find);
    [this.unzoom, this.toTable, this.markLayer] = [".gl-unzoom", ".gl-totable", ".gl-marks"].map(find);
    return element;
  }

  #plotFirst() {
    const layout = assignDeep(structuredClone(this.spec.figure.layout), this.#style());
    for (const each of this.traces) each.dress(this.look);
    const data = [...this.ghosts, ...this.traces.map((each) => each.trace)];
    const config = { displayModeBar: false, responsive: false, doubleClick: false, showTips: false };
    this.plot = this.canvas;
    this.Plotly.newPlot(this.plot, data, layout, config);
    this.traces.forEach((each, i) => (each.trace = this.plot.data[this.ghosts.length + i]));
    this.plot.on("plotly_relayout", (change) => this.#zoomed(change));
    // Plotly's box of exact values cannot lie above the labels: they step back.
    this.plot.on("plotly_hover", () => this.overlay.classList.add("gl-back"));
    this.plot.on("plotly_unhover", () => this.overlay.classList.remove("gl-back"));
    this.plot.on("plotly_doubleclick", () => this.#letGo());
    // The chart follows its place: a phone is turned, a sidebar opens.
    this.observer = new ResizeObserver(() => requestAnimationFrame(() => this.resize()));
    this.observer.observe(this.canvas);
  }

  /** The look of the page, under what the lesson asks for. */
  #style() {
    const { look } = this;
    const asked = this.spec.figure.layout;
    const axis = {
      automargin: true, zeroline: false, minorloglabels: "complete",
      color: look.text, gridcolor: look.grid, linecolor: look.grid, tickcolor: look.grid,
      tickfont: { size: look.size - 1, color: look.faint },
    }; // prettier-ignore
    const grows = this.traces.some((each) => each.column);
    const style = {
      autosize: true,
      paper_bgcolor: look.paper,
      plot_bgcolor: look.paper,
      font: { family: look.font, size: look.size, color: look.text },
      margin: { l: 8, t: 10, b: 8, r: this.#marginForLabels(), pad: 0 },
      hovermode: grows ? "x unified" : "closest",
      dragmode: "zoom",
      hoverlabel: {
        bgcolor: look.paper, bordercolor: look.grid, namelength: -1,
        font: { family: look.font, size: look.size, color: look.text },
      }, // prettier-ignore
      legend: {
        orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom",
        font: { size: look.size - 1, color: look.faint }, bgcolor: "rgba(0,0,0,0)",
      }, // prettier-ignore
    };
    for (const name of Object.keys(this.axes)) {
      const own = asked[name] ?? {};
      const hoverformat = own.hoverformat ?? (String(own.tickformat).endsWith("%") ? ".2%" : ".4~g");
      const title = { standoff: 10, font: { size: look.size, color: look.faint } };
      style[name] = { ...axis, hoverformat, title, ...this.#range(name) };
      if (!name.startsWith("x")) continue;
      style[name].showgrid = own.showgrid ?? false;
      style[name].unifiedhovertitle = { text: `${this.axisName} %{x}` };
      if (grows) Object.assign(style[name], { spikecolor: look.faint, spikethickness: 1, spikedash: "solid" });
    }
    if (asked.annotations) style.annotations = asked.annotations.map((each) => sized(each, look));
    for (const each of this.labelled) each.trace.showlegend = !this.#labelsFit();
    const named = this.traces.filter(({ trace }) => trace.name && trace.showlegend !== false);
    style.showlegend = asked.showlegend ?? (named.length > 1 || named.some(({ trace }) => trace.meta?.reference));
    return style;
  }

  // --- axes and zoom

  #findAxes() {
    const layout = this.spec.figure.layout;
    const names = new Set(["xaxis", "yaxis", ...Object.keys(layout).filter((name) => AXIS.test(name))]);
    const all = [...this.ghosts, ...this.traces.map((each) => each.trace)];
    const found = {};
    for (const name of names) {
      found[name] = new Axis(layout[name] ?? {}, all.filter((trace) => axisName(trace, name[0]) === name), name[0] === "x");
    }
    for (const trace of all) {
      for (const letter of ["x", "y"]) found[axisName(trace, letter)]?.add(values(trace[letter]));
    }
    return found;
  }

  #axisOf(trace, letter) {
    return this.axes[axisName(trace, letter)];
  }

  /** The range of an axis to be set, unless the reader holds it. */
  #range(name) {
    const axis = this.axes[name];
    const asked = this.spec.figure.layout[name] ?? {};
    if (axis.held) return {};
    if (!axis.range) return { autorange: asked.autorange ?? true };
    return { range: axis.range, autorange: false, ...(axis.log ? axis.ticks(asked) : {}) };
  }

  /** Give the plot the ranges that it should have. Whether one of them changed. */
  #setRanges() {
    let changed = false;
    for (const name of Object.keys(this.axes)) {
      const wanted = this.#range(name);
      const now = this.plot.layout[name].range;
      if (!wanted.range || (now && wanted.range[0] === now[0] && wanted.range[1] === now[1])) continue;
      Object.assign(this.plot.layout[name], wanted);
      changed = true;
    }
    return changed;
  }

  /** The reader zoomed or dragged an axis: from now on it is theirs. We never call `relayout`, so it was not us. */
  #zoomed(change) {
    for (const key of Object.keys(change)) {
      const name = key.split(".")[0];
      if (!key.includes(".") || !(name in this.axes)) continue;
      this.axes[name].held = true;
      // Fewer than a decade may be left: Plotly finds numbers for that.
      if (this.plot.layout[name].dtick === "D2") this.plot.layout[name].tickmode = "auto";
    }
    this.#showHeld();
    this.#label();
  }

  /** Back to everything. */
  #letGo() {
    for (const [name, axis] of Object.entries(this.axes)) {
      axis.held = false;
      Object.assign(this.plot.layout[name], this.#range(name));
    }
    this.#showHeld();
    this.Plotly.redraw(this.plot);
    this.#label();
  }

  #showHeld() {
    this.unzoom.hidden = !Object.values(this.axes).some((axis) => axis.held);
  }

  // --- labels at the ends of the lines

  /** Whether every line can have its label; else the legend names them. */
  #labelsFit() {
    // Plotly's own note of the height where there is one: asking the page would make it lay itself out at every draw.
    const height = this.plot?._fullLayout?.height ?? this.canvas.clientHeight;
    return this.labelled.length * this.#labelHeight() <= 0.85 * (height || 300);
  }

  #labelHeight() {
    return Math.round(1.2 * this.look.size);
  }

  #marginForLabels() {
    if (!this.labelled.length || !this.#labelsFit()) return 14;
    const widths = this.labelled.map((each) => this.#widthOf(each.trace.meta.label));
    const room = MOST_FOR_LABELS * (this.plot?._fullLayout?.width ?? this.canvas.clientWidth);
    return Math.min(Math.max(WIDEST_LABEL, room), Math.ceil(Math.max(...widths))) + LABEL_GAP + 6;
  }

  #widthOf(text) {
    this.pen ??= document.createElement("canvas").getContext("2d");
    this.pen.font = `600 ${this.look.size}px ${this.look.font}`;
    return this.pen.measureText(text).width;
  }

  #label() {
    this.#placeMarks();
    if (!this.labelled.length) return;
    const tips = this.#labelsFit() ? this.labelled.map((each) => this.#tip(each)).filter(Boolean) : [];
    const { _offset: top, _length: height } = this.plot._fullLayout.yaxis;
    pushApart(tips, this.#labelHeight(), top, top + height);
    this.tips = tips;
    this.overlay.replaceChildren(...tips.flatMap(drawTip));
  }

  /** Where the line ends for the eye: at its last point, or where it leaves the axes. */
  #tip(each) {
    const { trace, diverged, colour } = each;
    const full = this.plot._fullLayout;
    const x = full[axisName(trace, "x")];
    const y = full[axisName(trace, "y")];
    const end = lastInside(values(trace.x), values(trace.y), x, y);
    if (!end) return null;
    const place = { x: x._offset + end[0], y: y._offset + end[1] };
    const text = diverged ? `${trace.meta.label} diverged` : String(trace.meta.label);
    const gap = LABEL_GAP + (diverged ? 5 : 0);
    // At the right edge there is room for the name alone: what is longer stands on the other side.
    const width = this.#widthOf(text);
    const before = diverged && place.x + gap + width > this.overlay.clientWidth;
    const from = place.x + (before ? -gap : gap);
    return { ...place, at: place.y, from, left: before ? from - width : from, width, before, text, colour, diverged };
  }

  /** The marks stay the same elements and are only moved: a new one under the pointer would flicker. */
  #placeMarks() {
    if (this.frame < 0) return; // between two draws
    const full = this.plot._fullLayout;
    for (const { mark, trace, element } of this.marks) {
      const [x, y] = [full[axisName(trace, "x")], full[axisName(trace, "y")]];
      const [left, top] = [x.d2p(mark.x), y.d2p(mark.y)];
      const inside = left > -1 && left < x._length + 1 && top > -1 && top < y._length + 1;
      element.hidden = !inside || mark.frame > this.frame;
      element.classList.toggle("gl-leftward", left > x._length / 2);
      element.classList.toggle("gl-below", top < 30);
      Object.assign(element.style, { left: `${x._offset + left}px`, top: `${y._offset + top}px` });
    }
  }

  // --- table and picture

  #toggleTable() {
    const open = this.table.hidden;
    this.table.hidden = !open;
    this.toTable.setAttribute("aria-expanded", String(open));
    if (open) this.#refreshTable(true);
  }

  #refreshTable(now = false) {
    if (this.table.hidden) return;
    clearTimeout(this.tableTimer);
    this.tableTimer = setTimeout(() => this.table.replaceChildren(...this.#tables()), now ? 0 : 400);
  }

  #tables() {
    const grown = this.traces.filter((each) => each.column?.length && isNamed(each.trace));
    const others = this.traces.filter((each) => !each.column && isNamed(each.trace));
    const found = [];
    if (grown.length) found.push(growthTable(grown, this.axisName, this.steps, this.frame));
    if (others.length) found.push(pictureTable(others, this.spec.figure.layout));
    return found.length ? found : [emptyTable()];
  }

  #savePicture() {
    const { plot, look } = this;
    const { l: left, t: top, w: width, h: height } = plot._fullLayout._size;
    const labels = this.tips.map((tip) => ({
      text: tip.text, xref: "paper", yref: "paper", showarrow: false, xanchor: tip.before ? "right" : "left",
      x: (tip.from - left) / width, y: 1 - (tip.at - top) / height,
      font: { color: tip.colour, size: look.size },
    })); // prettier-ignore
    const room = 34; // for the title
    const layout = {
      ...plot.layout,
      title: { text: this.spec.name, x: 0, xref: "paper", font: { size: look.size + 3 } },
      margin: { ...plot.layout.margin, t: plot.layout.margin.t + room },
      annotations: [...(plot.layout.annotations ?? []), ...labels],
    };
    const size = { width: plot.clientWidth, height: plot.clientHeight + room, scale: 2 };
    const filename = `${this.spec.name} ${this.frame}`.toLowerCase().replace(/[^a-z0-9]+/g, "-");
    this.Plotly.downloadImage({ data: plot.data, layout }, { format: "png", filename, ...size });
  }
}

// --- traces ----------------------------------------------------------------------------------------------------------

/** A trace, with what it takes to move it to a frame. */
function watch(trace, moves) {
  const width = trace.line?.width ?? 2;
  const letters = trace.textfont?.size;
  const each = {
    trace,
    column: moves === "grow" ? new Column() : null,
    films: {},
    shown: {},
    diverged: false,

    /** Put into the trace what it shows at `frame`. Whether that differs from before. */
    show(frame) {
      let moved = false;
      if (this.column) {
        const count = this.column.upto(frame);
        moved = count !== this.shown.points;
        this.shown.points = count;
        this.trace.x = this.column.x.subarray(0, count);
        this.trace.y = this.column.y.subarray(0, count);
        this.diverged = count > 1 && Number.isNaN(this.trace.y[count - 1]) && this.trace.y.some(Number.isFinite);
      }
      for (const [attribute, film] of Object.entries(this.films)) {
        const index = film.index(frame);
        if (this.shown[attribute] === index) continue;
        this.shown[attribute] = index;
        set(this.trace, attribute, film.at(index));
        moved = true;
      }
      return moved;
    },

    /** Lines are thicker on a projector, and words larger; the edges of bands, of width 0, stay what they are. */
    dress(look) {
      if (isLine(this.trace) && width > 0) set(this.trace, "line.width", width * look.thicker);
      if (letters) set(this.trace, "textfont.size", inType(letters, look));
    },
  };
  return each;
}

/** A size that a lesson chose, where the page's type is larger or smaller than it thought. */
function inType(size, look) {
  return Math.round((size * look.size) / LESSON_TYPE);
}

function sized(annotation, look) {
  const size = annotation.font?.size;
  return size ? { ...annotation, font: { ...annotation.font, size: inType(size, look) } } : annotation;
}

/** The growing lines of an earlier run, whole and pale. */
function paleLines(panel, steps) {
  const found = [];
  for (const entry of panel.delta) {
    const trace = panel.figure.data[entry.trace];
    if (entry.set || !trace.meta?.label || !isLine(trace)) continue;
    found.push({
      type: "scatter", mode: "lines", name: `${trace.meta.label}, before`,
      xaxis: trace.xaxis, yaxis: trace.yaxis,
      x: entry.frames.map((frame) => steps[frame]), y: entry.y.map((y) => y ?? NaN),
      line: { ...trace.line, width: 1.5 }, opacity: 0.35, hoverinfo: "skip", showlegend: false,
    }); // prettier-ignore
  }
  return found;
}

function isLine(trace) {
  return (trace.type ?? "scatter") === "scatter" && String(trace.mode ?? "lines").includes("lines");
}

/** Whether a trace has a name of its own for a table: the edges of bands have none. */
function isNamed(trace) {
  return Boolean(trace.name) && trace.hoverinfo !== "skip";
}

/** "x2" of a trace as the layout names it: "xaxis2". */
function axisName(trace, letter) {
  return `${letter}axis${(trace[`${letter}axis`] ?? letter).slice(1)}`;
}

function get(object, path) {
  return path.split(".").reduce((inner, name) => inner?.[name], object);
}

function set(object, path, value) {
  const names = path.split(".");
  const last = names.pop();
  names.reduce((inner, name) => (inner[name] ??= {}), object)[last] = value;
}

/** Write `source` into `target`, object by object; arrays are replaced whole. */
function assignDeep(target, source) {
  for (const [name, value] of Object.entries(source)) {
    const plain = value !== null && typeof value === "object" && !Array.isArray(value);
    if (plain) assignDeep((target[name] ??= {}), value);
    else target[name] = value;
  }
  return target;
}

// --- labels ----------------------------------------------------------------------------------------------------------

/** The last point of a line inside the axes, in their pixels, or where the line leaves them after it; null: none. */
function lastInside(xs, ys, x, y) {
  let beyond = null;
  for (let i = Math.min(xs.length, ys.length) - 1; i >= 0; i--) {
    const point = [pixel(x, xs[i]), y.d2p(ys[i])];
    if (!point.every(Number.isFinite) || !Number.isFinite(ys[i])) continue;
    const [left, top] = point;
    const inside = left > -1 && left < x._length + 1 && top > -1 && top < y._length + 1;
    if (inside) return beyond ? leaving(point, beyond, [x._length, y._length]) : point;
    beyond = point;
  }
  return null;
}

/** Where a value of an axis stands on it. Plotly takes a category whose name is a number for its place. */
function pixel(axis, value) {
  return axis.type === "category" ? axis.l2p(axis._categoriesMap[value]) : axis.d2p(value);
}

/** Where the way from a point inside a box of that size to one outside crosses its edge. */
function leaving(inside, outside, size) {
  const share = [0, 1].map((i) => {
    const way = outside[i] - inside[i];
    if (outside[i] > size[i]) return (size[i] - inside[i]) / way;
    return outside[i] < 0 ? -inside[i] / way : 1;
  });
  const until = Math.max(0, Math.min(...share));
  return inside.map((from, i) => from + until * (outside[i] - from));
}

/**
 * Place the labels as close to their lines as they can be without an overlap: where some crowd, they stand together
 * around their middle, in the order of their lines.
 */
function pushApart(tips, height, top, bottom) {
  tips.sort((a, b) => a.y - b.y);
  const crowds = [];
  const spread = ({ tips }) => {
    const middle = tips.reduce((sum, tip) => sum + tip.y, 0) / tips.length;
    const half = ((tips.length - 1) * height) / 2;
    const first = Math.max(top, Math.min(bottom, middle + half) - 2 * half);
    tips.forEach((tip, i) => (tip.at = first + i * height));
  };
  for (const tip of tips) {
    let crowd = { tips: [tip] };
    spread(crowd);
    // Labels that stand beside each other are in nobody's way.
    const over = (one, two) => one.left < two.left + two.width + LABEL_GAP && two.left < one.left + one.width + LABEL_GAP;
    const touches = (other) => other.tips.at(-1).at + height > crowd.tips[0].at && crowd.tips.some((one) => other.tips.some((two) => over(one, two)));
    for (let i = crowds.findLastIndex(touches); i >= 0; i = crowds.findLastIndex(touches)) {
      crowd = { tips: [...crowds.splice(i, 1)[0].tips, ...crowd.tips].sort((a, b) => a.y - b.y) };
      spread(crowd);
    }
    crowds.push(crowd);
  }
}

function drawTip(tip) {
  const label = document.createElement("span");
  label.className = tip.before ? "gl-label gl-before" : "gl-label";
  label.textContent = tip.text;
  Object.assign(label.style, { left: `${tip.from}px`, top: `${tip.at}px`, color: tip.colour });
  if (!tip.diverged) return [label];
  const mark = document.createElement("span");
  mark.className = "gl-cross";
  mark.textContent = "✕";
  Object.assign(mark.style, { left: `${tip.x}px`, top: `${tip.y}px`, color: tip.colour });
  return [mark, label];
}

function drawMark(mark, colour) {
  const element = document.createElement("div");
  element.className = "gl-mark";
  element.hidden = true;
  element.style.setProperty("--gl-of", colour);
  element.append(Object.assign(document.createElement("span"), { textContent: mark.label }));
  return element;
}

// --- tables ----------------------------------------------------------------------------------------------------------

/** The frames as rows, the lines as columns, thinned to what can be read. */
function growthTable(traces, axisName, steps, frame) {
  const rows = new Map();
  traces.forEach(({ column }, i) => {
    for (let point = 0; point < column.upto(frame); point++) {
      const at = column.frames[point];
      if (!rows.has(at)) rows.set(at, new Array(traces.length).fill(""));
      rows.get(at)[i] = spell(column.y[point]);
    }
  });
  const ordered = [...rows.keys()].sort((a, b) => a - b);
  const body = thin(ordered, MOST_ROWS).map((at) => [spell(steps[at]), ...rows.get(at)]);
  return drawTable([axisName, ...traces.map(({ trace }) => trace.name)], body);
}

/** What does not grow, point by point. */
function pictureTable(traces, layout) {
  const body = traces.flatMap(({ trace }) => {
    if (trace.z) return [...values(trace.z)].map((row, i) => [trace.name, String(i), [...row].map(spell).join("  ")]);
    const [xs, ys] = [values(trace.x), values(trace.y)];
    const points = Array.from({ length: Math.min(xs.length, ys.length) }, (_, i) => [trace.name, spell(xs[i]), spell(ys[i])]);
    return points.filter(([, , y]) => y !== "");
  });
  const title = (name, otherwise) => layout[name]?.title?.text ?? otherwise;
  return drawTable(["", title("xaxis", "x"), title("yaxis", "y")], thin(body, MOST_ROWS));
}

function drawTable(head, body) {
  const table = document.createElement("table");
  const row = table.createTHead().insertRow();
  for (const text of head) row.append(Object.assign(document.createElement("th"), { scope: "col", textContent: text }));
  const rows = table.createTBody();
  for (const cells of body) {
    const line = rows.insertRow();
    for (const text of cells) line.insertCell().textContent = text;
  }
  return table;
}

function emptyTable() {
  return Object.assign(document.createElement("p"), { textContent: "No numbers yet." });
}

/** At most `most` of the rows, evenly spread, the first and the last among them. */
function thin(rows, most) {
  if (rows.length <= most) return rows;
  return Array.from({ length: most }, (_, i) => rows[Math.round((i * (rows.length - 1)) / (most - 1))]);
}

/** A number for people: four digits, and nothing where there is none. */
export function spell(number) {
  if (typeof number === "string") return number;
  return Number.isFinite(number) ? String(Number(number.toPrecision(4))) : "";
}
