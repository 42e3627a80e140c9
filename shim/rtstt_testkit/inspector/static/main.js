// The page: the list of sessions beside the session that is shown, and the keyboard.

import { h } from 'inspector/dom';
import { SessionList } from 'inspector/sessions';
import { SessionPane } from 'inspector/session';
import { EmbeddedSource, LiveSource } from 'inspector/source';

const KEYS = [
  ['j / k', 'next / previous event'],
  ['J / K', 'next / previous session'],
  ['/', 'search the events'],
  ['space', 'play or pause, from the selected place'],
  ['+ / −', 'zoom in / out'],
  ['0', 'show the whole session'],
  ['← / →', 'pan'],
  ['?', 'this help'],
];
const THEMES = ['light dark', 'light', 'dark'];
const THEME_NAMES = { 'light dark': 'System colours', light: 'Light', dark: 'Dark' };

/** Show the page. @param {string} nonce for the style elements that wavesurfer.js makes */
export function start(nonce) {
  const data = JSON.parse(document.getElementById('data').textContent);
  const source = data.live ? new LiveSource() : new EmbeddedSource(data);
  if (data.title) document.title = `${data.title} · rtstt-shim`;

  const help = helpDialog();
  const state = h('span.state', { role: 'status' }, data.live ? 'connecting…' : (data.title ?? ''));
  const theme = themeButton(() => pane.restyle());
  const back = h('button.back', { type: 'button', onclick: () => document.body.classList.remove('detail') }, '‹ Sessions');
  const header = h(
    'header',
    {},
    back,
    h('h1', {}, 'rtstt-shim ', h('span', {}, 'inspector')),
    state,
    theme,
    h('button', { type: 'button', onclick: () => help.showModal(), 'aria-label': 'Keyboard shortcuts' }, '?'),
  );
  const pane = new SessionPane(source, nonce, (number) => list.selectKnown(number));
  const list = new SessionList((number, byHand) => {
    pane.show(number);
    if (byHand) document.body.classList.add('detail');
    try {
      history.replaceState(null, '', `#session=${number}`);
    } catch {
      // A document without an address of its own.
    }
  });
  const notes = (data.notes ?? []).map((note) => h('p', {}, note));
  document.body.append(
    header,
    ...(notes.length ? [h('div.notes', { role: 'note' }, ...notes)] : []),
    h('div.panes', {}, list.element, pane.element),
    help,
  );

  const wanted = Number(/^#session=(\d+)$/.exec(location.hash)?.[1]);
  if (wanted) list.keep(wanted);
  source.start(
    (sessions, gone, first) => {
      pane.changed(sessions, list.selected); // before another is selected, which has nothing new then
      list.update(sessions, gone, first);
    },
    (connected) => {
      state.textContent = connected ? 'live' : 'the mock does not answer; trying again…';
      state.classList.toggle('bad', !connected);
    },
  );
  document.addEventListener('keydown', (event) => onKey(event, { list, pane, help }));
}

function onKey(event, { list, pane, help }) {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const typing = target instanceof HTMLElement && target.matches('input[type=search], input[type=text], select, textarea');
  if (typing) {
    if (key === 'Escape') target.blur();
    return;
  }
  if (key === ' ' && target instanceof HTMLElement && target.matches('button:not([aria-current]), a, input, summary')) return;
  const actions = {
    j: () => pane.step(1),
    k: () => pane.step(-1),
    J: () => list.step(1),
    K: () => list.step(-1),
    '/': () => pane.search(),
    ' ': () => pane.play(),
    '+': () => pane.zoom(2),
    '=': () => pane.zoom(2),
    '-': () => pane.zoom(0.5),
    0: () => pane.zoom(0),
    ArrowLeft: () => pane.pan(-0.25),
    ArrowRight: () => pane.pan(0.25),
    '?': () => help.showModal(),
  };
  if (!Object.hasOwn(actions, key)) return;
  event.preventDefault();
  actions[key]();
}

function helpDialog() {
  const dialog = h(
    'dialog',
    { 'aria-labelledby': 'help-title' },
    h('h2', { id: 'help-title' }, 'Keyboard'),
    h('dl', {}, ...KEYS.flatMap(([key, what]) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)])),
    h('form', { method: 'dialog' }, h('button', {}, 'Close')),
  );
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  return dialog;
}

function themeButton(onChange) {
  const root = document.documentElement;
  const stored = readTheme();
  const button = h('button', { type: 'button' });
  const apply = (theme) => {
    root.style.colorScheme = theme;
    button.textContent = THEME_NAMES[theme];
    button.setAttribute('aria-label', `Colours: ${THEME_NAMES[theme]}`);
    button.dataset.theme = theme;
  };
  apply(THEMES.includes(stored) ? stored : THEMES[0]);
  button.addEventListener('click', () => {
    const next = THEMES[(THEMES.indexOf(button.dataset.theme) + 1) % THEMES.length];
    apply(next);
    writeTheme(next);
    onChange();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', onChange);
  return button;
}

// A report opened from disk may have no storage.
function readTheme() {
  try {
    return localStorage.getItem('rtstt-theme');
  } catch {
    return null;
  }
}

function writeTheme(theme) {
  try {
    localStorage.setItem('rtstt-theme', theme);
  } catch {
    // The choice lasts as long as the page.
  }
}
