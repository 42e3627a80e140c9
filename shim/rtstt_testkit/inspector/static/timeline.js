// The waveform with the detector's segments, and the lanes under it, on one time axis.

import WaveSurfer from 'wavesurfer';
import Regions from 'wavesurfer/regions';
import Timeline from 'wavesurfer/timeline';
import { clock, colours, h, textScale } from 'inspector/dom';
import { COLOURS, HEIGHT, draw, eventAt } from 'inspector/lanes';

const WAVE_HEIGHT = 104;
const MOST_PIXELS = 8_000_000; // wide; browsers draw nothing beyond 16 million
const MOST_SCALE = 2000; // pixels a second: the waveform has 100 peaks a second
const MOST_MARKS = 100; // regions of speech, and lines of commits

export class TimelineView {
  /**
   * @param {string} nonce
   * @param {{onSeek: (x: number) => void, onSelect: (index: number) => void}} callbacks
   */
  constructor(nonce, { onSeek, onSelect }) {
    this.nonce = nonce;
    this.onSeek = onSeek;
    this.onSelect = onSelect;
    this.selected = -1;
    this.cursor = 0;
    this.wave = h('div.wave');
    this.canvas = h('canvas.lanes', { role: 'img', 'aria-label': 'Events on the time axis; the list below has them all' });
    this.element = h('div.timeline', {}, this.wave, this.canvas);
    this.canvas.addEventListener('pointerdown', (event) => this.#grab(event));
    this.element.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
  }

  /** Show nothing until `show`: the next session is on its way. */
  clear() {
    this.model = null;
    this.selected = -1;
    this.cursor = 0;
  }

  /** Show a session, at once in full width; an event may have been selected since `clear`. */
  async show(model) {
    this.model = model;
    this.fit = true;
    if (this.selected !== -1) this.cursor = model.list[this.selected].x;
    if (!this.surfer) this.#create();
    this.surfer.setOptions({ minPxPerSec: 0 });
    await this.#load();
  }

  /** Draw what is new in the session. */
  async update() {
    const { surfer } = this;
    const atEnd = surfer.getScroll() + surfer.getWidth() >= surfer.getWrapper().clientWidth - 4;
    const left = surfer.getScroll();
    await this.#load();
    if (this.fit) return;
    surfer.setScroll(atEnd ? surfer.getWrapper().clientWidth : left);
  }

  async #load() {
    const { surfer, model } = this;
    this.duration = model.end;
    this.regions.clearRegions();
    await surfer.load('', [model.waveform()], model.end);
    this.#markSpeech();
    this.setTime(Math.min(this.cursor, model.end));
    this.redraw();
  }

  #create() {
    this.colours = colours(COLOURS);
    this.regions = Regions.create();
    this.surfer = WaveSurfer.create({
      container: this.wave,
      height: Math.round(WAVE_HEIGHT * textScale()),
      waveColor: this.colours.audio,
      progressColor: this.colours.audio,
      cursorColor: this.colours.accent,
      cursorWidth: 2,
      maxPeak: 1,
      autoCenter: false,
      cspNonce: this.nonce,
      plugins: [
        this.regions,
        Timeline.create({ height: Math.round(22 * textScale()), formatTimeCallback: (seconds) => (seconds < 60 ? `${clock(seconds)} s` : clock(seconds)), secondaryLabelOpacity: 0.6 }),
      ],
    });
    this.surfer.on('interaction', (x) => this.onSeek(x));
    for (const event of ['redrawcomplete', 'zoom', 'resize']) this.surfer.on(event, () => this.redraw());
    this.surfer.on('scroll', () => this.#scrolled());
    new ResizeObserver(() => this.#resized()).observe(this.canvas);
  }

  /** Mark the detector's speech segments in and around what is in view: a region is an element, so there are few. */
  #markSpeech() {
    const { model, surfer } = this;
    if (!model || !this.scale) return;
    const { scale } = this;
    const left = surfer.getScroll() / scale;
    const width = surfer.getWidth() / scale;
    const [from, to] = (this.covered = [left - width, left + 2 * width]);
    const spans = [];
    for (const item of model.items) {
      if (item.start === undefined) continue;
      const start = model.xOfAudio(item.start);
      const end = item.stop === undefined ? Math.max(start, model.span(item)[1]) : model.xOfAudio(item.stop);
      if (end >= from && start <= to) spans.push({ start, end: Math.max(end, start + 0.01) });
    }
    const commits = model.commits.map((index) => model.list[index].x).filter((x) => x >= from && x <= to);
    this.regions.clearRegions();
    const fixed = { drag: false, resize: false };
    for (const span of merged(spans, 1 / scale)) this.regions.addRegion({ ...span, ...fixed, color: this.colours.speech });
    if (commits.length > MOST_MARKS) return;
    for (const start of commits) this.regions.addRegion({ start, ...fixed, color: this.colours.transcript });
  }

  /** The regions stand where they should once the page has a width, which it has not while it is hidden. */
  #resized() {
    if (!this.model || !this.canvas.clientWidth) return;
    this.#markSpeech();
    this.redraw();
  }

  /** What has come into view is marked once the scrolling pauses. */
  #scrolled() {
    this.redraw();
    clearTimeout(this.marking);
    this.marking = setTimeout(() => {
      if (!this.model) return;
      const left = this.surfer.getScroll() / this.scale;
      const right = left + this.surfer.getWidth() / this.scale;
      if (left < this.covered[0] || right > this.covered[1]) this.#markSpeech();
    }, 120);
  }

  /** Pixels a second. */
  get scale() {
    return this.surfer.getWrapper().clientWidth / this.duration;
  }

  /** Zoom by a factor around the playhead, or the middle where that is out of sight; 0 shows everything. */
  zoom(factor, at = null) {
    if (!this.model) return;
    const { surfer } = this;
    const width = surfer.getWidth();
    const smallest = width / this.duration;
    const left = surfer.getScroll();
    const before = this.scale;
    const most = Math.max(smallest, Math.min(MOST_SCALE, MOST_PIXELS / this.duration));
    const scale = Math.min(most, factor === 0 ? smallest : before * factor);
    let anchor = at ?? this.cursor * before - left;
    if (anchor < 0 || anchor > width) anchor = width / 2;
    const x = (left + anchor) / before;
    this.fit = scale <= smallest * 1.01;
    this.regions.clearRegions();
    surfer.zoom(this.fit ? 0 : scale);
    surfer.setScroll(this.fit ? 0 : x * scale - anchor);
    this.#markSpeech();
    this.redraw();
  }

  /** Move by a part of the width in view. */
  pan(part) {
    if (!this.model) return;
    this.surfer.setScroll(this.surfer.getScroll() + part * this.surfer.getWidth());
    this.redraw();
  }

  /** Put the playhead at a place. */
  setTime(x) {
    this.cursor = x;
    this.surfer?.setTime(x);
  }

  /** Show which event is selected, and bring it into view. */
  select(index) {
    this.selected = index;
    if (!this.model) return;
    this.setTime(this.model.list[index].x);
    this.redraw();
  }

  /** The colours have changed. */
  restyle() {
    if (!this.surfer) return;
    this.colours = colours(COLOURS);
    const { audio, accent } = this.colours;
    this.surfer.setOptions({ waveColor: audio, progressColor: audio, cursorColor: accent });
    this.#markSpeech();
    this.redraw();
  }

  redraw() {
    if (this.drawing || !this.model) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      const text = textScale();
      const ratio = (devicePixelRatio || 1) * text;
      const width = this.canvas.clientWidth / text;
      if (!width || !this.model) return;
      this.canvas.style.height = `${HEIGHT * text}px`;
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(HEIGHT * ratio);
      const context = this.canvas.getContext('2d');
      context.scale(ratio, ratio);
      draw(context, { ...this.#view(), width });
    });
  }

  #view() {
    const { model, scale, selected, colours: found } = this;
    return { model, scale: scale / textScale(), selected, colours: found, left: this.surfer.getScroll() / scale };
  }

  #grab(down) {
    const start = this.surfer.getScroll();
    let moved = false;
    const move = (event) => {
      if (Math.abs(event.clientX - down.clientX) > 3) moved = true;
      if (moved) this.surfer.setScroll(start - (event.clientX - down.clientX));
    };
    const up = () => {
      this.canvas.removeEventListener('pointermove', move);
      if (moved) return;
      const box = this.canvas.getBoundingClientRect();
      const x = (down.clientX - box.left) / textScale();
      const view = this.#view();
      const index = eventAt(view, x, (down.clientY - box.top) / textScale());
      if (index !== null) this.onSelect(index);
      else this.onSeek(view.left + x / view.scale);
    };
    this.canvas.setPointerCapture(down.pointerId);
    this.canvas.addEventListener('pointermove', move);
    this.canvas.addEventListener('pointerup', up, { once: true });
  }

  #wheel(event) {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 200), event.clientX - this.element.getBoundingClientRect().left);
    } else if (event.deltaX && event.target === this.canvas) {
      event.preventDefault();
      this.surfer.setScroll(this.surfer.getScroll() + event.deltaX);
    }
  }
}

/** Spans with those joined that are closer than a gap, which grows until they are few. */
function merged(spans, gap) {
  if (spans.length <= MOST_MARKS) return spans;
  const joined = [];
  for (const span of spans) {
    const last = joined.at(-1);
    if (last && span.start - last.end < gap) last.end = Math.max(last.end, span.end);
    else joined.push({ ...span });
  }
  return merged(joined, gap * 2);
}
