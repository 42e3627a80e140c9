/**
 * NODE_OPTIONS with the shim in it: the twin of `node_options.py`, which says why only one `--require` is left there;
 * `tests/vectors/node_options.json` tests both.
 */
'use strict';

// As Node.js reads it: a space separates, and only within quotes is a backslash special.
const WORD = /(?:[^ "]|"(?:\\.|[^"\\])*")+/gs;
const OTHERS = 'RTSTT_SHIM_REQUIRE';

/**
 * Makes a module the one that NODE_OPTIONS requires.
 *
 * @param {NodeJS.ProcessEnv} env the environment to change; NODE_OPTIONS keeps its other options as they are
 * @param {string} preload the path of `register.cjs`
 */
function addPreload(env, preload) {
  /** @type {string[]} */
  const kept = [];
  /** @type {string[]} */
  const required = [];
  const words = (env.NODE_OPTIONS ?? '').match(WORD) ?? [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at];
    if (unquote(word).startsWith('--require=')) required.push(unquote(word).slice('--require='.length));
    else if (word === '--require' || word === '-r') required.push(unquote(words[++at] ?? ''));
    else kept.push(word);
  }
  env.NODE_OPTIONS = [...kept, `--require ${quote(preload)}`].join(' ');
  const named = new Set([...listOf(env[OTHERS]), ...required]);
  const modules = [...named].filter((name) => name && name !== preload);
  if (modules.length) env[OTHERS] = JSON.stringify(modules);
}

/**
 * @param {string | undefined} text
 * @returns {string[]}
 */
function listOf(text) {
  try {
    const value = JSON.parse(text ?? '');
    return Array.isArray(value) ? value.map(String) : [];
  } catch {
    return [];
  }
}

/** @param {string} word */
function unquote(word) {
  return word.replace(/"((?:\\.|[^"\\])*)"/gs, (_, inside) => inside.replace(/\\(.)/gs, '$1'));
}

/** @param {string} path */
function quote(path) {
  // Only where it must be: Bun reads NODE_OPTIONS without quotes.
  return /[\s"]/.test(path) ? `"${path.replace(/(["\\])/g, '\\$1')}"` : path;
}

module.exports = { addPreload };
