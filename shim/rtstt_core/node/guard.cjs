/** Keeps the shim's own errors out of the application, and observes methods of its objects. */
'use strict';

const { warn } = require('./log.cjs');
const { redact } = require('./redact.cjs');

/** @type {Set<string>} names of the hooks that have thrown */
const failed = new Set();

/**
 * Returns a hook that never throws: an internal error is printed once, and the hook does nothing from then on.
 *
 * @template {unknown[]} Args
 * @param {string} name what the hook does, as a clause for the message
 * @param {(...args: Args) => void} hook
 * @returns {(...args: Args) => void}
 */
function guarded(name, hook) {
  return (...args) => {
    if (failed.has(name)) return;
    try {
      hook(...args);
    } catch (error) {
      failed.add(name);
      warn(`rtstt_shim: internal error while ${name}; the application is unaffected: ${redact(String(error))}`);
    }
  };
}

/**
 * Calls `before` with the arguments of every call of one object's method, before the method runs.
 *
 * @param {object} object
 * @param {string} method
 * @param {(...args: any[]) => void} before must not throw
 * @returns {() => void} restores the method, unless another tool has wrapped it since
 */
function observe(object, method, before) {
  const own = Object.getOwnPropertyDescriptor(object, method);
  const original = Reflect.get(object, method);
  /** @this {unknown} @param {unknown[]} args */
  function observed(...args) {
    before(...args);
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
