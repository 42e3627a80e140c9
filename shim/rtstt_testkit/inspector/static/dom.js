// Elements with text. A string becomes a text node, never markup.

/**
 * Make an element.
 * @param {string} name of the element, with classes: `div.row.bad`
 * @param {object} [options] attributes; `on…` adds a listener, a value of null or false is left out
 * @param {...(Node|string|number|null|false)} children
 */
export function h(name, options = {}, ...children) {
  const [tag, ...classes] = name.split('.');
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(' ');
  for (const [key, value] of Object.entries(options)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : String(value));
  }
  append(element, children);
  return element;
}

/** Replace what is in an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/**
 * Change what is in an element, and keep the elements that stay: a click is lost whose element is replaced before the
 * button of the mouse is up. Their listeners are those of the first time, and what the user opened stays open.
 */
export function update(element, ...children) {
  const wanted = document.createDocumentFragment();
  append(wanted, children);
  keep(element, [...wanted.childNodes]);
}

function keep(element, wanted) {
  for (const [at, child] of wanted.entries()) {
    const known = element.childNodes[at];
    if (!known) element.append(child);
    else if (!(known instanceof Element) || known.nodeName !== child.nodeName) known.replaceWith(child);
    else if (!known.isEqualNode(child)) {
      keepAttributes(known, child);
      keep(known, [...child.childNodes]);
    }
  }
  while (element.childNodes.length > wanted.length) element.lastChild.remove();
}

function keepAttributes(known, child) {
  for (const name of new Set([...known.getAttributeNames(), ...child.getAttributeNames()])) {
    const value = child.getAttribute(name);
    if (name === 'open' || known.getAttribute(name) === value) continue;
    if (name === 'style') known.style.cssText = child.style.cssText; // as an attribute the page's policy refuses it
    else if (value === null) known.removeAttribute(name);
    else known.setAttribute(name, value);
  }
}

function append(element, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** The colours of the page's style for a canvas, resolved for light or dark. */
export function colours(names) {
  const probe = h('span', { hidden: true });
  document.body.append(probe);
  const found = {};
  for (const name of names) {
    probe.style.color = `var(--${name})`;
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return found;
}

/** Seconds for people: 0.123 s, 12.3 s, 1:02:03. */
export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(3)} s`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return clock(seconds);
}

/** A time on the axis: 12.3, 1:02, 1:02:03. */
export function clock(seconds, digits = 0) {
  if (seconds < 60) return seconds.toFixed(digits);
  const rest = (seconds % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, '0');
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')}:${rest}`;
}

/** How much larger the page's text is than the 14 pixels that sizes in code are meant for. */
export function textScale() {
  return parseFloat(getComputedStyle(document.documentElement).fontSize) / 14;
}
