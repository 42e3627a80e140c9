/**
 * Finds the npm packages that a project has installed, wherever its package manager keeps them: the twin of
 * `clients/npm_packages.py`.
 */
'use strict';

const { lstatSync, readdirSync } = require('node:fs');
const { basename, dirname, join, resolve, sep } = require('node:path');
const { isFile, isFolder, isSkipped, readText, real, walk } = require('./tree.cjs');
const { stores } = require('./folders.json');

/** @import { Unread } from './tree.cjs' */

const PNP = ['.pnp.cjs', '.pnp.data.json'];
const LOCATION = /"packageLocation":\s*"([^"]+\.zip)\/(node_modules\/((?:@[^/"]+\/)?[^/"]+)\/)"/g;
// `a/__virtual__/hash/2/b` is `a/../../b`.
const VIRTUAL = /__virtual__\/[^/]+\/(\d+)\//g;

/** One installed copy of a package. */
class NpmPackage {
  /**
   * @param {string} name the name under which programs import it
   * @param {string} path its folder; the archive that holds it with Yarn's Plug'n'Play
   * @param {string} [inside] its folder in the archive, with a slash at its end
   */
  constructor(name, path, inside = '') {
    this.name = name;
    this.path = path;
    this.inside = inside;
  }

  /**
   * Returns the text of one of its files; undefined where there is none, or where it cannot be read, which is noted.
   *
   * @param {string} file the path below the package's folder
   * @param {Unread} unread
   */
  read(file, unread) {
    if (this.inside && !this.#isReadable(unread)) return undefined;
    return readText(join(this.path, this.inside, file), unread);
  }

  /**
   * Returns the paths of its files, those of nested packages left out.
   *
   * @param {Unread} unread
   */
  files(unread) {
    if (this.inside && !this.#isReadable(unread)) return [];
    const root = this.inside ? join(this.path, this.inside) : real(this.path);
    const found = [...walk(root, unread, (_, name) => name !== 'node_modules')];
    return found.flatMap(({ here, files }) => files.map((name) => join(here, name).slice(root.length).replace(/^[\\/]/, '')));
  }

  /**
   * Returns its version; empty where its package.json does not hold one.
   *
   * @param {Unread} unread
   */
  version(unread) {
    try {
      const { version } = JSON.parse(this.read('package.json', unread) ?? '');
      return typeof version === 'string' ? version : '';
    } catch {
      return '';
    }
  }

  /** @param {Unread} unread */
  #isReadable(unread) {
    // Yarn makes Node's own functions read archives.
    if (process.versions.pnp) return true;
    unread.add(this.path, 'it is an archive of Yarn; run `yarn rtstt-shim doctor`');
    return false;
  }
}

/**
 * Finds the packages that are installed below a folder, and above it for a member of a workspace.
 *
 * @param {string} folder
 * @param {Unread} unread
 * @param {(name: string) => boolean} isWanted
 * @returns {NpmPackage[]} every copy once, in the order of their paths
 */
function findPackages(folder, unread, isWanted) {
  const { modules, archives } = below(folder, unread);
  for (const parent of projectsAbove(folder)) {
    if (isFolder(join(parent, 'node_modules'))) modules.push(...below(join(parent, 'node_modules'), unread).modules);
    archives.push(...PNP.map((name) => join(parent, name)).filter(isFile));
  }
  /** @type {Map<string, NpmPackage>} */
  const found = new Map();
  for (const inside of modules) {
    for (const name of namesIn(inside, unread)) {
      const path = join(inside, name);
      if (!isWanted(name) || !isFile(join(path, 'package.json'))) continue;
      const known = found.get(real(path));
      // A link to a copy in a store shows that it is in use; one of an earlier install stays there unused.
      if (!known || (isLink(path) && !isLink(known.path))) found.set(real(path), new NpmPackage(name, path));
    }
  }
  for (const copy of archives.flatMap((file) => archived(file, isWanted, unread))) {
    const key = `${copy.path}\0${copy.inside}`;
    if (!found.has(key)) found.set(key, copy);
  }
  // Yarn leaves out the archives of packages for another platform.
  const copies = [...found.values()].filter(({ inside, path }) => !inside || isFileOrFolder(path));
  return copies.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/** @type {(folder: string, unread: Unread) => { modules: string[], archives: string[] }} */
function below(folder, unread) {
  const modules = [];
  const archives = [];
  for (const { here, folders, files } of walk(folder, unread, leadsToPackages)) {
    if (basename(here) === 'node_modules') modules.push(here);
    // Its packages may be out of the tree.
    else if (folders.includes('node_modules') && isLink(join(here, 'node_modules'))) modules.push(join(here, 'node_modules'));
    archives.push(...PNP.filter((name) => files.includes(name)).map((name) => join(here, name)));
  }
  return { modules, archives };
}

/**
 * Yields the projects above a folder, up to the repository: a workspace's packages are at its root.
 *
 * @param {string} folder
 */
function* projectsAbove(folder) {
  let here = real(folder);
  while (!isFileOrFolder(join(here, '.git')) && !here.split(sep).includes('node_modules') && here !== dirname(here)) {
    here = dirname(here);
    if (isFile(join(here, 'package.json'))) yield here;
  }
}

/** @param {string} path an archive is a folder for Yarn's functions */
const isFileOrFolder = (path) => isFile(path) || isFolder(path);

/** @param {string} path */
function isLink(path) {
  try {
    return lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
}

/**
 * Returns whether there may be a `node_modules` below a folder: in a package, only directly in it.
 *
 * @param {string} here the folder's parent
 * @param {string} name
 */
function leadsToPackages(here, name) {
  const parent = basename(here);
  if (parent === 'node_modules') return stores.includes(name) || !name.startsWith('.');
  const scope = basename(dirname(here)).startsWith('@') ? dirname(here) : here;
  if (basename(dirname(scope)) === 'node_modules' && !/^[@.]/.test(parent)) return name === 'node_modules';
  return !isSkipped(here, name);
}

/**
 * @param {string} modules
 * @param {Unread} unread
 */
function* namesIn(modules, unread) {
  for (const name of entries(modules, unread)) {
    if (name.startsWith('@')) {
      for (const inner of entries(join(modules, name), unread)) yield `${name}/${inner}`;
    } else if (!name.startsWith('.')) {
      yield name;
    }
  }
}

/** @type {(folder: string, unread: Unread) => string[]} */
function entries(folder, unread) {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
    if (code !== 'ENOTDIR') unread.add(folder, message);
    return [];
  }
}

/** @type {(file: string, isWanted: (name: string) => boolean, unread: Unread) => NpmPackage[]} */
function archived(file, isWanted, unread) {
  const found = [];
  for (const [, location, inside, name] of (readText(file, unread) ?? '').matchAll(LOCATION)) {
    const archive = location.replace(VIRTUAL, (_, up) => '../'.repeat(Math.min(Number(up), 64)));
    const path = resolve(dirname(file), archive);
    if (isWanted(name)) found.push(new NpmPackage(name, path, inside));
  }
  // A package that the project patches is listed there twice, and programs load the patched one.
  const patched = new Set(found.filter(({ path }) => basename(path).includes('-patch-')).map(({ name }) => name));
  return found.filter(({ name, path }) => !patched.has(name) || basename(path).includes('-patch-'));
}

module.exports = { findPackages };
