/** Which library opened a connection: read off the stack, when there is a failure to tell. */
'use strict';

const { readFileSync } = require('node:fs');

// The libraries that speak WebSocket. Others on the stack may be an instrumentation that has wrapped the request.
const KNOWN = new Set(['ws', 'undici', 'websocket', 'websocket-driver', 'faye-websocket']);
const INSTALLED = /(?:file:\/\/)?([^\s()]*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+)[\\/]/g;
const BUILT_IN = /node:internal\/deps\/undici/;

/** The stack of whoever is opening a connection now. */
function callerStack() {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 40;
  const { stack } = new Error();
  Error.stackTraceLimit = limit;
  return String(stack);
}

/**
 * The library on a stack, and its version; `fallback` where there is none to be told, as in a bundle.
 *
 * @param {string} stack
 * @param {string} fallback
 * @returns {{ library: string, version: string }}
 */
function libraryOn(stack, fallback) {
  for (const folder of new Set(Array.from(stack.matchAll(INSTALLED), ([, folder]) => folder))) {
    // The folder's name is not the package's where it is installed under an alias.
    const { name, version } = manifestOf(folder);
    if (KNOWN.has(name)) return { library: name, version };
  }
  if (BUILT_IN.test(stack)) return { library: 'undici', version: process.versions.undici ?? '' };
  return { library: fallback, version: '' };
}

/** @param {string} folder */
function manifestOf(folder) {
  try {
    const { name, version } = JSON.parse(readFileSync(`${decodeURI(folder)}/package.json`, 'utf8'));
    return { name: String(name), version: String(version ?? '') };
  } catch {
    return { name: /[^\\/]*$/.exec(folder)?.[0] ?? '', version: '' };
  }
}

module.exports = { callerStack, libraryOn };
