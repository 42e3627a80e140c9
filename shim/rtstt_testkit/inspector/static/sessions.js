// The list of sessions, newest first.

import { duration, h, update } from 'inspector/dom';

export class SessionList {
  /** @param {(number: number, byHand: boolean) => void} onSelect */
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.sessions = new Map();
    this.rows = new Map();
    this.selected = null;
    this.following = true;
    this.count = h('span.count');
    this.follow = h('input', { type: 'checkbox', checked: true, onchange: () => this.setFollowing(this.follow.checked) });
    this.list = h('ul', { 'aria-label': 'Sessions' });
    this.empty = h('p.empty', {}, 'No client has connected yet.');
    this.element = h(
      'nav.sessions',
      { 'aria-label': 'Sessions' },
      h('div.bar', {}, h('h2', {}, 'Sessions ', this.count), h('label', {}, this.follow, 'Show the newest')),
      this.empty,
      this.list,
    );
  }

  /** Show this session when it is there, instead of the newest. */
  keep(number) {
    this.selected = number;
    this.follow.checked = this.following = false;
  }

  setFollowing(following) {
    this.following = following;
    if (following) this.selectNewest();
  }

  /** @param {object[]} sessions that are new or changed @param {number[]} gone @param {boolean} all whether they are all */
  update(sessions, gone, all) {
    const present = new Set(sessions.map((session) => session.number));
    const lost = all ? [...this.sessions.keys()].filter((number) => !present.has(number)) : gone;
    for (const number of lost) this.remove(number);
    const before = this.newest();
    for (const session of sessions) {
      this.sessions.set(session.number, session);
      this.draw(session);
    }
    this.count.textContent = String(this.sessions.size);
    this.empty.hidden = this.sessions.size > 0;
    if (this.following && this.newest() !== before) this.selectNewest();
    else if (this.selected !== null && lost.includes(this.selected) && !present.has(this.selected)) this.selectNewest();
    else if (all && this.selected !== null && this.sessions.has(this.selected)) this.select(this.selected, false);
    else if (all && this.sessions.size) this.selectNewest();
  }

  remove(number) {
    this.sessions.delete(number);
    this.rows.get(number)?.remove();
    this.rows.delete(number);
  }

  newest() {
    return this.sessions.size ? Math.max(...this.sessions.keys()) : null;
  }

  selectNewest() {
    const newest = this.newest();
    if (newest !== null) this.select(newest, false);
  }

  /** Select the session that stands so many rows further down. */
  step(rows) {
    const numbers = [...this.sessions.keys()].sort((one, other) => other - one);
    const at = numbers.indexOf(this.selected) + rows;
    if (numbers[at] !== undefined) this.select(numbers[at], true);
  }

  /** Select a session by hand; return whether it is in the list. */
  selectKnown(number) {
    if (!this.sessions.has(number)) return false;
    this.select(number, true);
    return true;
  }

  select(number, byHand) {
    if (byHand) this.follow.checked = this.following = number === this.newest() && this.following;
    this.rows.get(this.selected)?.firstElementChild.removeAttribute('aria-current');
    this.selected = number;
    const row = this.rows.get(number);
    row?.firstElementChild.setAttribute('aria-current', 'true');
    row?.scrollIntoView({ block: 'nearest' });
    this.onSelect(number, byHand);
  }

  draw(session) {
    let row = this.rows.get(session.number);
    if (!row) {
      row = h('li', {}, h('button.session', { type: 'button', onclick: () => this.select(session.number, true) }));
      this.rows.set(session.number, row);
      const after = [...this.rows.keys()].filter((number) => number < session.number);
      const next = after.length ? this.rows.get(Math.max(...after)) : null;
      this.list.insertBefore(row, next);
    }
    const { number, state, model, url, close, transcript, audio, errors, code, http_status: status } = session;
    const ended = code ?? (status === 0 ? 'no connection' : status !== 101 ? `HTTP ${status}` : close ? String(close.code) : null);
    update(
      row.firstElementChild,
      h(
        'span.line',
        {},
        h('span.number', {}, `#${number}`),
        h(`span.badge.${state}`, {}, state),
        ended && h('span.code', {}, ended),
        errors > 0 && state !== 'refused' && h('span.badge.refused', {}, errors === 1 ? '1 error' : `${errors} errors`),
        h('span.audio', {}, audio > 0 ? duration(audio) : ''),
      ),
      h('span.line.url', {}, ...drawUrl(url)),
      h('span.line.said', {}, transcript || (model ? h('span.model', {}, model) : '')),
    );
    if (this.selected === number) row.firstElementChild.setAttribute('aria-current', 'true');
  }
}

/** A URL with what is wrong in it marked. */
export function drawUrl(parts) {
  return parts.map(({ text, wrong }) => (wrong ? h('mark', { title: wrong }, text) : h('span', {}, text)));
}
