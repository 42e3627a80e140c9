/** Nothing of ours may ever fail inside the application's own calls. */
'use strict';

const { redact } = require('./redact.cjs');
const { say } = require('./report.cjs');

/** @type {Set<string>} the hooks that have failed */
const off = new Set();

/**
 * Makes one of our hooks safe to run in the application's place: what it throws is said once, and from then on it does
 * nothing.
 *
 * @template {unknown[]} Args
 * @param {string} name what the hook does, a clause for the warning
 * @param {(...args: Args) => void} hook
 * @returns {(...args: Args) => void}
 */
function guarded(name, hook) {
  return (...args) => {
    if (off.has(name)) return;
    try {
      hook(...args);
    } catch (error) {
      off.add(name);
      say(`rtstt_shim: ${name} failed and is off from now on; the application is not affected: ${redact(String(error))}`);
    }
  };
}

/**
 * Lets `seen` know of every call of one object's method, before the method itself runs.
 *
 * @param {object} object
 * @param {string} method
 * @param {(...args: any[]) => void} seen must not throw
 * @returns {() => void} takes it back, unless someone else has wrapped the method since
 */
function observe(object, method, seen) {
  const own = Object.getOwnPropertyDescriptor(object, method);
  const original = Reflect.get(object, method);
  /** @this {unknown} @param {unknown[]} args */
  function observed(...args) {
    seen(...args);
    return Reflect.apply(original, this, args);
  }
  Object.defineProperty(object, method, { value: observed, configurable: true, writable: true, enumerable: false });
  return () => {
    if (Reflect.get(object, method) !== observed) return;
    if (own) Object.defineProperty(object, method, own);
    else Reflect.deleteProperty(object, method);
  };
}

module.exports = { guarded, observe };
