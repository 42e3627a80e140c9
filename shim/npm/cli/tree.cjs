/**
 * Walks a folder of unknown origin: without recursion, and without following links.
 *
 * The twin of `clients/tree.py`. Nothing in it is executed. What cannot be read is noted, and the rest is still read.
 */
'use strict';

const { readdirSync, readFileSync, realpathSync, statSync } = require('node:fs');
const { basename, join, resolve } = require('node:path');
// Made by scripts/build_npm.py from the tables of the Python package.
const { skipped } = require('./folders.json');

const LARGEST = 20 * 1024 * 1024;
// Terminals act on the first two ranges; the others change the order or the shape of the text around them.
const CONTROL = /[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/g;
/** @type {[string, RegExp][]} */
const SKIPPED = skipped.map((/** @type {string} */ pattern) => [
  pattern,
  new RegExp(`^${pattern.replace(/[.+^${}()|[\]\\/]/g, '\\$&').replaceAll('*', '.*')}$`, 's'),
]);

/** What could not be read, and why. */
class Unread {
  /** @type {Set<string>} */
  notes = new Set();

  /**
   * @param {string} path
   * @param {unknown} error
   */
  add(path, error) {
    this.notes.add(`${path}: ${error instanceof Error ? error.message : error}`);
  }
}

/**
 * Returns a text with every character escaped that a terminal would act on.
 *
 * @param {string} text
 */
function printable(text) {
  return text.replace(CONTROL, (letter) => {
    const code = letter.charCodeAt(0).toString(16);
    return code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${code.padStart(2, '0')}`;
  });
}

/**
 * Returns whether a folder is not searched.
 *
 * @param {string} parent
 * @param {string} name
 */
function isSkipped(parent, name) {
  return SKIPPED.some(([pattern, matches]) => matches.test(pattern.includes('/') ? `${basename(parent)}/${name}` : name));
}

/** @type {(path: string, isWanted: (found: import('node:fs').Stats) => boolean) => boolean} */
function is(path, isWanted) {
  try {
    return isWanted(statSync(path));
  } catch {
    return false;
  }
}

/** @param {string} path */
const isFile = (path) => is(path, (found) => found.isFile());

/** @param {string} path */
const isFolder = (path) => is(path, (found) => found.isDirectory());

/**
 * Returns a path without links; as it is, made absolute, where that cannot be found out.
 *
 * @param {string} path
 */
function real(path) {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}

/**
 * Yields a folder and those below it, parents first: the folder, the names of its folders (links to folders included) and
 * those of its files.
 *
 * @param {string} root
 * @param {Unread} unread
 * @param {(parent: string, name: string) => boolean} descend whether to walk a folder too; links are never walked
 * @returns {Generator<{ here: string, folders: string[], files: string[] }>}
 */
function* walk(root, unread, descend) {
  const waiting = [root];
  for (let here = waiting.pop(); here !== undefined; here = waiting.pop()) {
    let entries;
    try {
      entries = readdirSync(here, { withFileTypes: true });
    } catch (error) {
      unread.add(here, reasonOf(error));
      continue;
    }
    const inside = here;
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    const folders = entries.filter((entry) => entry.isDirectory() || (entry.isSymbolicLink() && isFolder(join(inside, entry.name))));
    const names = new Set(folders.map((entry) => entry.name));
    yield {
      here,
      folders: [...names],
      files: entries.map((entry) => entry.name).filter((name) => !names.has(name)),
    };
    const real = folders.filter((entry) => !entry.isSymbolicLink() && descend(inside, entry.name));
    waiting.push(...real.reverse().map((entry) => join(inside, entry.name)));
  }
}

/**
 * Returns the text of a file; undefined where there is none, or where it cannot be read, which is noted.
 *
 * @param {string} path the file; only a regular file is opened: a pipe would block
 * @param {Unread} unread
 * @returns {string | undefined}
 */
function readText(path, unread) {
  try {
    const found = statSync(path);
    if (!found.isFile()) return undefined;
    if (found.size > LARGEST) throw new RangeError(`larger than ${LARGEST / 1024 / 1024} MiB`);
    return readFileSync(path, 'utf8').replace(/^\ufeff/, '');
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ENOENT') unread.add(path, reasonOf(error));
    return undefined;
  }
}

/** @param {unknown} error */
function reasonOf(error) {
  const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
  // Node writes "EACCES: permission denied, open '…'".
  return code ? (/^\w+: ([^,]*)/.exec(message)?.[1] ?? code) : message;
}

module.exports = { Unread, isFile, isFolder, isSkipped, printable, readText, real, walk };
