// What is wrong with a client, with the places in its sessions that show it.

import { h, update } from 'inspector/dom';

export class Findings {
  /** @param {(place: {session: number, event: number|null, at: number|null}) => void} onPlace */
  constructor(onPlace) {
    this.onPlace = onPlace;
    this.view = null;
    // Elements that stay keep their listeners, so the list has one for all of them.
    this.element = h('ul.findings', { 'aria-label': 'Findings', hidden: true, onclick: (event) => this.#click(event) });
  }

  /** @param {object} view of the session */
  show(view) {
    this.view = view;
    this.element.hidden = view.findings.length === 0;
    update(this.element, ...view.findings.map((finding, index) => this.#draw(finding, index)));
  }

  #draw({ name, meaning, fix, evidence, more }, index) {
    return h(
      'li',
      {},
      h('p', {}, h('strong', {}, name), `: ${meaning}`),
      h(
        'ul',
        {},
        ...evidence.map((one, at) => h('li', {}, ...this.#place(one, `${index}.${at}`), one.text)),
        more > 0 && h('li', {}, `and ${more} more`),
      ),
      h('p', {}, fix),
    );
  }

  /** A button that leads to a place; what has no place, and is in this session, has no button. */
  #place({ session, event, at }, key) {
    const own = session === this.view.number;
    if (session === null || (own && event === null && at === null)) return [];
    const words = [!own && `session ${session}`, event !== null && `event ${event}`].filter(Boolean).join(', ');
    const text = `${words}${at === null ? '' : ` at ${at.toFixed(3)} s`}`.trim();
    return [h('button.place', { type: 'button', 'data-place': key, title: 'Show this place' }, text), ': '];
  }

  #click({ target }) {
    const key = target.closest('[data-place]')?.dataset.place;
    if (!key) return;
    const [finding, evidence] = key.split('.').map(Number);
    this.onPlace(this.view.findings[finding].evidence[evidence]);
  }
}
