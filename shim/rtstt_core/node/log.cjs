/**
 * Lines on stderr.
 *
 * Not through `process.emitWarning`: with NODE_NO_WARNINGS, which production images like to set, the failure would stay
 * silent, and a warning emitted at exit is lost.
 */
'use strict';

const { Console } = require('node:console');

/** @type {Console | undefined} */
let output;

/** @param {string} line */
function warn(line) {
  try {
    // A console of our own: the application may replace the global one. Unlike a plain write it survives a closed pipe.
    output ??= new Console(process.stderr, process.stderr);
    output.error('%s', line);
  } catch {
    // There is no stderr, and the application must not notice.
  }
}

/**
 * Prints a line only with `RTSTT_SHIM_LOG=info`.
 *
 * @param {string} line
 */
function info(line) {
  if (/^(?:info|debug)$/i.test(process.env.RTSTT_SHIM_LOG ?? '')) warn(line);
}

module.exports = { info, warn };
