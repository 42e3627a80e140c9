/** The library that opened a connection, read from the call stack when a failure is reported. */
'use strict';

const { readFileSync } = require('node:fs');
const { fileURLToPath } = require('node:url');

// Libraries that speak WebSocket. Others on the stack may be instrumentation that has wrapped the request.
const KNOWN = new Set(['ws', 'undici', 'websocket']);
// The folder of the last package in a path or a file URL, whose folders may have spaces and parentheses in their names.
const INSTALLED =
  /(?:\(|at (?:async )?)((?:file:\/\/)?(?:[a-z]:)?[\\/][^\n]*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+)[\\/]/gi;
const BUILT_IN = /node:internal\/deps\/undici/;
const DEPTH = 40;

/** Returns the current call stack. */
function callStack() {
  const { stackTraceLimit } = Error;
  // Under --frozen-intrinsics it cannot be set.
  Reflect.set(Error, 'stackTraceLimit', DEPTH);
  const { stack } = new Error();
  Reflect.set(Error, 'stackTraceLimit', stackTraceLimit);
  return String(stack);
}

/**
 * Returns the library on a stack, and its version; `fallback` if none is known, as in a bundle.
 *
 * @param {string} stack
 * @param {string} fallback
 * @returns {{ library: string, version: string }}
 */
function libraryOn(stack, fallback) {
  for (const folder of new Set(Array.from(stack.matchAll(INSTALLED), ([, folder]) => folder))) {
    // Installed under an alias, the folder has another name than the package.
    const { name, version } = manifestOf(folder);
    if (KNOWN.has(name)) return { library: name, version };
  }
  if (BUILT_IN.test(stack)) return { library: 'undici', version: process.versions.undici ?? '' };
  return { library: fallback, version: '' };
}

/** @param {string} folder a path or a file URL */
function manifestOf(folder) {
  try {
    const path = folder.startsWith('file:') ? fileURLToPath(folder) : folder;
    const { name, version } = JSON.parse(readFileSync(`${path}/package.json`, 'utf8'));
    return { name: String(name), version: String(version ?? '') };
  } catch {
    return { name: /[^\\/]*$/.exec(folder)?.[0] ?? '', version: '' };
  }
}

module.exports = { callStack, libraryOn };
