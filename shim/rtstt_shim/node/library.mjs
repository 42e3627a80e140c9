/** Which library is opening a connection: read off the stack, for a watched connection only. */
import { readFileSync } from 'node:fs';
import process from 'node:process';

// The libraries that speak WebSocket; what is called them on the stack may be inside an instrumentation's wrapper.
const INSTALLED = /(?:file:\/\/)?([^\s()]*[\\/]node_modules[\\/](ws|undici|websocket|websocket-driver|faye-websocket))[\\/]/;
const BUILT_IN = /node:internal\/deps\/undici/;

/**
 * The library on the stack, and its version; `fallback` where there is none to be told, as in a bundle.
 *
 * @param {string} fallback
 * @returns {{ library: string, version: string }}
 */
export function caller(fallback) {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 40;
  const stack = String(new Error().stack);
  Error.stackTraceLimit = limit;
  const installed = INSTALLED.exec(stack);
  if (installed) return { library: installed[2], version: versionIn(installed[1]) };
  if (BUILT_IN.test(stack)) return { library: 'undici', version: process.versions.undici ?? '' };
  return { library: fallback, version: '' };
}

/** @param {string} folder */
function versionIn(folder) {
  try {
    return String(JSON.parse(readFileSync(`${decodeURI(folder)}/package.json`, 'utf8')).version ?? '');
  } catch {
    return '';
  }
}
