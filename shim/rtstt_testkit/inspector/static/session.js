// One session: in words, on the time axis, and event by event.

import { duration, fill, h, update } from 'inspector/dom';
import { assertion, hasScriptLine, scriptLine } from 'inspector/copy';
import { EventList } from 'inspector/events';
import { Findings } from 'inspector/findings';
import { Model } from 'inspector/model';
import { Player } from 'inspector/player';
import { drawUrl } from 'inspector/sessions';
import { TimelineView } from 'inspector/timeline';

const AHEAD = 0.5; // seconds that the axis may be ahead of the clock before the page says so
const SHORTEST = 0.5; // seconds; without audio, a shorter session has nothing to show on an axis

export class SessionPane {
  /** @param {(number: number) => boolean} onSession selects another session; false where there is none */
  constructor(source, nonce, onSession) {
    this.source = source;
    this.onSession = onSession;
    this.wanted = null;
    this.model = null;
    this.number = null;
    this.turn = null;
    this.stale = false;
    this.head = h('div.head');
    this.verdict = h('div.verdict', { role: 'status', 'aria-label': 'What happened' });
    this.findings = new Findings((place) => this.#goTo(place));
    this.timeline = new TimelineView(nonce, { onSeek: (x) => this.seek(x), onSelect: (index) => this.select(index) });
    this.events = new EventList((index) => this.select(index));
    this.player = new Player((seconds) => this.#playedTo(seconds), () => this.#drawTools());
    this.tools = h('div.tools');
    this.json = h('pre', { tabindex: 0, 'aria-label': 'The event as JSON' });
    this.copies = h('div.copies');
    this.copied = h('span.copied', { role: 'status' });
    this.placeholder = h('p.empty', {}, 'Choose a session, or connect a client.');
    this.body = h(
      'div.body',
      { hidden: true },
      this.head,
      this.verdict,
      this.findings.element,
      this.tools,
      this.timeline.element,
      h(
        'div.split',
        {},
        this.events.element,
        h('section.json', { 'aria-label': 'Event' }, h('div.bar', {}, this.copies, this.copied), this.json),
      ),
    );
    this.element = h('main', {}, this.placeholder, this.body);
  }

  /** Show a session from its beginning, and then what is new in it. */
  async show(number) {
    if (number === this.number) return;
    this.number = number;
    await this.#inTurn((turn) => this.#begin(turn));
  }

  /** Sessions have changed; what is new in the one selected is fetched, one answer after the other. */
  changed(sessions, selected) {
    if (!this.source.live || !sessions.some((session) => session.number === selected)) return;
    if (selected !== this.number) {
      this.show(selected); // for the first time, or once more since the answer was lost
      return;
    }
    this.stale = true;
    if (!this.turn) this.#inTurn((turn) => this.#refresh(turn));
  }

  /** Work on the session that is shown. What another turn has begun meanwhile goes on alone: `turn` is not ours then. */
  async #inTurn(work) {
    const turn = (this.turn = {});
    try {
      await work(turn);
    } finally {
      if (this.turn === turn) this.turn = null;
    }
  }

  async #begin(turn) {
    const { number } = this;
    this.stale = false;
    this.player.stop();
    const view = await this.source.view(number, 0);
    if (turn !== this.turn) return;
    if (!view) {
      if (this.stale) return this.#begin(turn); // there is another session of this number since a reset
      this.number = null; // shown when the list has it again
      return;
    }
    const model = new Model(view);
    this.model = model;
    this.timeline.clear();
    this.placeholder.hidden = true;
    this.body.hidden = false;
    this.#drawHead();
    this.#drawTools();
    this.#drawEvent(null);
    this.events.show(model);
    model.addPeaks(await this.source.peaks(number, 0));
    if (turn !== this.turn) return;
    await this.timeline.show(model);
    if (turn !== this.turn) return;
    if (this.#goToWanted()) return this.#refresh(turn);
    const problem = model.list.findIndex((entry) => entry.kind === 'problem');
    if (this.timeline.selected === -1 && problem !== -1 && view.state !== 'open') this.select(problem);
    await this.#refresh(turn);
  }

  async #refresh(turn) {
    const { model } = this;
    while (this.stale) {
      this.stale = false;
      const view = await this.source.view(model.number, model.next);
      if (!view || turn !== this.turn) return;
      if (view.opened_wall !== model.view.opened_wall || view.epoch !== model.view.epoch) {
        await this.#begin(turn); // another session has its number since a reset, or the server began anew
        return;
      }
      model.update(view);
      model.addPeaks(await this.source.peaks(model.number, model.peaks.length));
      if (turn !== this.turn) return;
      this.#drawHead();
      this.#drawTools();
      this.events.refresh();
      if (!this.player.playing) await this.timeline.update();
      if (turn !== this.turn) return;
    }
  }

  #drawHead() {
    const { view } = this.model;
    const { state, close, code, http_status: status } = view;
    const end = close ? `closed ${close.code} by the ${close.by}${close.reason ? `: ${close.reason}` : ''}` : null;
    const facts = [
      ['client', view.client],
      ['model', view.model],
      ['format', `${view.format.type} ${view.format.rate.toLocaleString('en')} Hz`],
      ['audio', view.audio > 0 ? duration(view.audio) : 'none'],
      ['status', status === 101 ? null : status === 0 ? 'no connection' : `HTTP ${status}`],
      ['end', end],
      ['came', view.opened_wall ? new Date(view.opened_wall * 1000).toLocaleTimeString() : null],
    ].filter(([, value]) => value);
    const links = this.source.links(view.number);
    update(
      this.head,
      h('h2', {}, `Session ${view.number} `, h(`span.badge.${state}`, {}, code ?? state)),
      h('code.url', {}, ...drawUrl(view.url)),
      h('dl.facts', {}, ...facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)))),
      h(
        'div.links',
        {},
        ...links.map(([text, href, title]) => h('a', { href, title, download: true }, text)),
        this.#details(view),
      ),
    );
    const bad = state === 'refused' || this.model.problems > 0 || !view.transcript;
    const waits = (state === 'open' && !this.model.problems) || (!bad && view.suspicious);
    const kind = waits && (bad || view.suspicious) ? 'waiting' : bad ? 'bad' : 'good';
    if (this.said !== view.explanation.join('\n') + kind) {
      this.said = view.explanation.join('\n') + kind;
      this.verdict.className = `verdict ${kind}`;
      fill(this.verdict, ...view.explanation.map((sentence) => h('p', {}, ...inCode(sentence))));
    }
    this.findings.show(view);
  }

  #details(view) {
    const rows = Object.entries(view.headers).flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]);
    if (view.subprotocols.length) rows.push(h('dt', {}, 'subprotocols'), h('dd', {}, view.subprotocols.join(', ')));
    return h('details', {}, h('summary', {}, 'Headers'), h('dl', {}, ...rows));
  }

  #drawTools() {
    const { view } = this.model;
    const nothing = view.audio === 0 && view.end < SHORTEST;
    this.timeline.element.hidden = this.tools.hidden = nothing;
    const button = (text, label, onclick, disabled = false) =>
      h('button', { type: 'button', 'aria-label': label, title: label, onclick, disabled }, text);
    const { playing } = this.player;
    const notes = [];
    if (view.faults.length) {
      notes.push(`Faults of the script: ${view.faults.map(([, action, event]) => `${action} at ${event}`).join(', ')}.`);
    }
    if (view.too_long) notes.push('The audio is longer than a report holds; the waveform is whole.');
    const kept = view.audio - view.kept_from;
    if (view.audio > 0 && kept <= 0) notes.push('The audio is not kept, only when it came and how long it is.');
    else if (view.kept_from > 0) {
      notes.push(`The last ${duration(kept)} of the audio can be played; what came before is not kept.`);
    }
    if (view.lag > AHEAD) {
      notes.push('The audio came faster than it plays: the axis follows the audio, the list has the clock.');
    }
    const silent = view.audio === 0 || kept <= 0 || view.wav === null;
    update(
      this.tools,
      button(playing ? '❚❚ Pause' : '▶ Play', playing ? 'Pause' : 'Play', () => this.play(), silent),
      button('−', 'Zoom out', () => this.zoom(0.5)),
      button('+', 'Zoom in', () => this.zoom(2)),
      button('Fit', 'Show the whole session', () => this.zoom(0)),
      this.#legend(),
      ...notes.map((note) => h('span.note', {}, note)),
    );
  }

  #legend() {
    const kinds = [['speech', 'speech'], ['transcript', 'commit, transcript'], ['problem', 'problem']];
    return h('span.legend', {}, ...kinds.map(([kind, text]) => h(`span.${kind}`, {}, text)));
  }

  /** Move the playhead; where audio plays, it plays on from there. */
  seek(x) {
    this.timeline.setTime(x);
    if (this.player.playing) this.#playFrom(x);
  }

  /** Show the place that is evidence of a finding, in this session or in another. */
  #goTo(place) {
    if (place.session !== this.model.number) {
      this.wanted = place;
      if (!this.onSession(place.session)) this.wanted = null;
      return;
    }
    if (place.index !== null) {
      this.events.reveal(place.index);
      this.select(place.index);
    } else if (place.x !== null) this.seek(place.x);
    this.events.element.scrollIntoView({ block: 'nearest' });
  }

  /** Show the place for which this session was selected, as the session itself knows it; return whether there is one. */
  #goToWanted() {
    const { wanted } = this;
    this.wanted = null;
    if (wanted?.session !== this.number) return false;
    const all = this.model.view.findings.flatMap((finding) => finding.evidence);
    const same = (one) => ['session', 'event', 'at', 'text'].every((name) => one[name] === wanted[name]);
    const place = all.find((one) => same(one) && (one.index !== null || one.x !== null));
    if (place) this.#goTo(place);
    return Boolean(place);
  }

  play() {
    if (!this.model) return;
    if (this.player.playing) {
      this.player.stop();
      return;
    }
    const { view } = this.model;
    const atEnd = this.model.audioOfX(this.timeline.cursor) >= view.audio - 0.02;
    this.#playFrom(atEnd ? 0 : this.timeline.cursor);
  }

  #playFrom(x) {
    const { model } = this;
    const { view } = model;
    const from = Math.max(model.audioOfX(x), view.kept_from);
    this.player.play((seconds) => this.source.clip(model.number, seconds), from, view.audio);
  }

  #playedTo(seconds) {
    this.timeline.setTime(this.model.xOfAudio(seconds));
  }

  zoom(factor) {
    this.timeline.zoom(factor);
  }

  pan(part) {
    this.timeline.pan(part);
  }

  search() {
    this.events.input.focus();
    this.events.input.select();
  }

  restyle() {
    this.timeline.restyle();
  }

  /** Select the event so many rows away. */
  step(rows) {
    if (!this.model) return;
    const index = this.events.neighbour(rows);
    if (index !== null) this.select(index);
  }

  select(index) {
    this.events.select(index);
    this.timeline.select(index);
    if (this.player.playing) this.#playFrom(this.model.list[index].x);
    this.#drawEvent(index);
  }

  #drawEvent(index) {
    this.copied.textContent = '';
    if (index === null) {
      this.json.textContent = 'Select an event, or press j.';
      fill(this.copies);
      return;
    }
    const { model } = this;
    const entry = model.list[index];
    this.json.textContent = JSON.stringify(entry.event, null, 2);
    this.json.scrollTop = 0;
    const copy = (text, make) =>
      h('button', { type: 'button', onclick: () => this.#copy(make()) }, text);
    fill(
      this.copies,
      h('span', {}, 'Copy:'),
      copy('JSON', () => JSON.stringify(entry.event, null, 2)),
      hasScriptLine(entry) && copy('script', () => scriptLine(model, index)),
      copy('pytest', () => assertion(model, index)),
    );
  }

  async #copy(text) {
    this.copied.textContent = ''; // of what was copied before
    try {
      await navigator.clipboard.writeText(text);
      this.copied.textContent = 'Copied.';
    } catch {
      this.json.textContent = text;
      getSelection().selectAllChildren(this.json);
      this.copied.textContent = 'Selected: copy it with the keyboard.';
    }
  }
}

/** What stands between backticks is code. */
function inCode(sentence) {
  return sentence.split('`').map((part, index) => (index % 2 ? h('code', {}, part) : part));
}
