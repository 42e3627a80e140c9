// The events as a list: filtered, searched, and drawn only where they are in view.

import { h, textScale, update } from 'inspector/dom';
import { brief } from 'inspector/model';

const ROW = 26; // pixels, at the usual size of text
const SPARE = 10; // rows drawn beyond either edge

const FILTERS = [
  ['client', 'Client', (entry) => entry.sender === 'client'],
  ['server', 'Server', (entry) => entry.sender === 'server'],
];
const HIDDEN = [
  ['audio', 'Audio', (entry) => entry.kind === 'audio'],
  ['delta', 'Deltas', (entry) => entry.type.endsWith('.delta')],
];

export class EventList {
  /** @param {(index: number) => void} onSelect the index of the event in the session */
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.row = ROW * textScale();
    this.model = null;
    this.shown = [];
    this.selected = -1;
    this.input = h('input', {
      type: 'search',
      placeholder: 'Search  /',
      'aria-label': 'Search events',
      oninput: () => this.refresh(),
    });
    this.boxes = new Map();
    const box = (name, text) => {
      const input = h('input', { type: 'checkbox', checked: true, onchange: () => this.refresh() });
      this.boxes.set(name, input);
      return h('label', {}, input, text);
    };
    const problems = h('input', { type: 'checkbox', onchange: () => this.refresh() });
    this.boxes.set('problems', problems);
    this.count = h('span.count', { role: 'status' });
    this.rows = h('div.rows');
    this.scroller = h('div.list', {
      role: 'listbox',
      tabindex: 0,
      'aria-label': 'Events',
      onscroll: () => this.#draw(),
      onclick: (event) => this.#click(event),
    });
    this.scroller.append(this.rows);
    this.element = h(
      'section.events',
      { 'aria-label': 'Events' },
      h(
        'div.bar',
        {},
        this.input,
        h(
          'div.filters',
          { role: 'group', 'aria-label': 'Show' },
          ...[...FILTERS, ...HIDDEN].map(([name, text]) => box(name, text)),
          h('label.problems', {}, problems, 'Problems only'),
        ),
        this.count,
      ),
      this.scroller,
    );
    new ResizeObserver(() => {
      this.row = ROW * textScale();
      this.refresh();
    }).observe(this.scroller);
  }

  show(model) {
    this.model = model;
    this.selected = -1;
    this.scroller.scrollTop = 0;
    this.refresh();
  }

  /** Filter again; a list that was at its end stays there. */
  refresh() {
    const { model } = this;
    if (!model) return;
    const atEnd = this.scroller.scrollTop + this.scroller.clientHeight >= this.shown.length * this.row - 4;
    const words = this.input.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const on = (name) => this.boxes.get(name).checked;
    const tests = [
      ...FILTERS.filter(([name]) => !on(name)).map(([, , test]) => (entry) => !test(entry)),
      ...HIDDEN.filter(([name]) => !on(name)).map(([, , test]) => (entry) => !test(entry)),
      ...(on('problems') ? [(entry) => entry.kind === 'problem'] : []),
      ...words.map((word) => (entry) => haystack(entry).includes(word)),
    ];
    const had = this.shown.length;
    this.shown = [];
    for (const [index, entry] of model.list.entries()) {
      if (tests.every((test) => test(entry))) this.shown.push(index);
    }
    const all = model.list.length === 1 ? '1 event' : `${model.list.length.toLocaleString('en')} events`;
    const some = this.shown.length.toLocaleString('en');
    this.count.textContent = this.shown.length === model.list.length ? all : `${some} of ${all}`;
    this.rows.style.height = `${this.shown.length * this.row}px`;
    this.#draw();
    if (atEnd && had && this.selected === -1 && model.view.state === 'open') {
      this.scroller.scrollTop = this.scroller.scrollHeight;
    }
  }

  /** Filter nothing if an event is filtered out. */
  reveal(index) {
    if (this.shown.includes(index)) return;
    this.input.value = '';
    for (const [name, input] of this.boxes) input.checked = name !== 'problems';
    this.refresh();
  }

  /** Mark an event, without a call of `onSelect`. */
  select(index) {
    this.selected = index;
    const row = this.shown.indexOf(index);
    if (row !== -1) {
      const top = row * this.row;
      const { scrollTop, clientHeight } = this.scroller;
      if (top < scrollTop) this.scroller.scrollTop = top;
      else if (top + this.row > scrollTop + clientHeight) this.scroller.scrollTop = top + this.row - clientHeight;
    }
    this.#draw();
  }

  /** The index of the event that is shown so many rows after the selected one. */
  neighbour(rows) {
    if (!this.shown.length) return null;
    const at = this.shown.indexOf(this.selected);
    if (at === -1) {
      const after = this.shown.findIndex((index) => index > this.selected);
      return this.shown[rows > 0 ? (after === -1 ? 0 : after) : this.shown.length - 1];
    }
    return this.shown[Math.min(Math.max(at + rows, 0), this.shown.length - 1)];
  }

  #click(event) {
    const row = event.target.closest('[role=option]');
    if (row) this.onSelect(Number(row.dataset.index));
  }

  #draw() {
    const { model, scroller } = this;
    if (!model) return;
    const from = Math.max(0, Math.floor(scroller.scrollTop / this.row) - SPARE);
    const to = Math.min(this.shown.length, Math.ceil((scroller.scrollTop + scroller.clientHeight) / this.row) + SPARE);
    const rows = [];
    for (let at = from; at < to; at += 1) rows.push(this.#row(at));
    update(this.rows, ...rows);
    const marked = this.rows.querySelector('[aria-selected=true]');
    if (marked) scroller.setAttribute('aria-activedescendant', marked.id);
    else scroller.removeAttribute('aria-activedescendant');
  }

  #row(at) {
    const index = this.shown[at];
    const entry = this.model.list[index];
    const row = h(
      `div.event.${entry.kind}`,
      {
        role: 'option',
        id: `event-${index}`,
        'aria-selected': String(index === this.selected),
        'aria-posinset': at + 1,
        'aria-setsize': this.shown.length,
        'data-index': index,
      },
      h('span.at', {}, entry.at.toFixed(3)),
      h('span.side', {}, entry.sender === 'client' ? '→' : '←'),
      h('span.type', {}, entry.type),
      h('span.brief', {}, brief(entry)),
    );
    row.style.top = `${at * this.row}px`;
    return row;
  }
}

function haystack(entry) {
  if (entry.count > 1 || entry.haystack === undefined) {
    entry.haystack = `${entry.sender} ${entry.type} ${JSON.stringify(entry.event)}`.toLowerCase();
  }
  return entry.haystack;
}
