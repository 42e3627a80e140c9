/** Which installed npm packages are affected: the twin of `clients/npm_installed.py`, with the same rules as data. */
'use strict';

const { findPackages } = require('./packages.cjs');
const rules = require('../npm_rules.json');

/** @import { Unread } from './tree.cjs' */
/** @typedef {ReturnType<typeof findPackages>[number]} NpmPackage */
/** @typedef {'affected' | 'not affected' | 'unknown'} Verdict */
/**
 * @typedef {{ has?: string, lacks?: string, beside?: string, verdict: Verdict, why: string, corrected?: boolean,
 *   not_needed_from?: string }} Row
 * @typedef {{ files: string[], patchable?: boolean, missing: Row, rows: Row[] }} Rules
 */

/**
 * One installed copy of a client; the fields of `rtstt-shim doctor --format json`.
 *
 * @typedef {object} Client
 * @property {'npm'} registry
 * @property {string} name
 * @property {string} version
 * @property {null} environment
 * @property {string} path
 * @property {null} line
 * @property {Verdict} verdict
 * @property {boolean} affected
 * @property {string} why
 * @property {string} shim
 * @property {boolean} covered
 * @property {string | null} fix
 * @property {string | null} not_needed_from
 */

const SHIM = 'rtstt-shim';
const BESIDE = 200;
const NOT_DISABLED = ['', '0', 'false', 'no', 'off'];
const PACKAGES = /** @type {Record<string, Rules>} */ (rules.packages);
const PATTERNS = Object.fromEntries(Object.entries(rules.patterns).map(([name, text]) => [name, new RegExp(text)]));

/**
 * Returns the installed packages of a project that open realtime sockets to OpenAI: those with rules, then others that
 * hold the endpoint's address.
 *
 * @param {string} folder
 * @param {Unread} unread
 * @returns {Client[]}
 */
function findClients(folder, unread) {
  const known = findPackages(folder, unread, (name) => name === SHIM || Object.hasOwn(PACKAGES, name));
  const isInstalled = known.some(({ name }) => name === SHIM);
  const clients = known.filter(({ name }) => name !== SHIM).map((copy) => clientOf(copy, unread, isInstalled));
  const others = findPackages(folder, unread, (name) => name !== SHIM && !Object.hasOwn(PACKAGES, name));
  return [...clients, ...others.filter((copy) => talksToOpenAI(copy, unread)).map((copy) => unknownClient(copy, unread))];
}

/**
 * @param {NpmPackage} copy
 * @param {Unread} unread
 * @param {boolean} isInstalled whether the package rtstt-shim is installed in the same project
 * @returns {Client}
 */
function clientOf(copy, unread, isInstalled) {
  const own = PACKAGES[copy.name];
  const texts = own.files.map((file) => copy.read(file, unread)).filter((text) => text !== undefined);
  // Each build of a package may run; the worse one decides.
  const rows = texts.map((text) => /** @type {Row} */ (own.rows.find((row) => holds(row, text))));
  const row = rows.find(({ verdict }) => verdict === 'affected') ?? rows[0] ?? own.missing;
  const { covered, shim } = cover(row, isInstalled);
  let fix = null;
  if (row.verdict === 'affected') {
    fix = row.not_needed_from ? rules.fix.upgrade.replace('{version}', row.not_needed_from) : rules.fix.none;
    if (own.patchable && row.corrected) fix += rules.fix.patch;
  }
  return { ...described(copy, unread, row), shim, covered, fix, not_needed_from: row.not_needed_from ?? null };
}

/** @type {(copy: NpmPackage, unread: Unread, row: Pick<Row, 'verdict' | 'why'>) => any} */
function described(copy, unread, { verdict, why }) {
  const version = copy.version(unread);
  const affected = verdict === 'affected';
  return { registry: 'npm', name: copy.name, version, environment: null, path: copy.path, line: null, verdict, affected, why };
}

/**
 * @param {Row} row
 * @param {string} text
 */
function holds({ has, lacks, beside }, text) {
  if (has && !PATTERNS[has].test(text)) return false;
  if (lacks && PATTERNS[lacks].test(text)) return false;
  if (!beside) return true;
  const call = text.search(PATTERNS['sets-model']);
  return call >= 0 && PATTERNS[beside].test(text.slice(Math.max(0, call - BESIDE), call));
}

/**
 * @param {Row} row
 * @param {boolean} isInstalled
 */
function cover({ corrected, verdict }, isInstalled) {
  const words = rules.shim;
  if (!corrected) return { covered: false, shim: verdict === 'affected' ? words.beta : words.nothing };
  if (isDisabled()) return { covered: false, shim: words.disabled };
  const options = (process.env.NODE_OPTIONS ?? '').replaceAll('\\', '/');
  if (new RegExp(rules.preload).test(options)) return { covered: true, shim: words.preload };
  return { covered: isInstalled, shim: isInstalled ? words.installed : words.absent };
}

const isDisabled = () => !NOT_DISABLED.includes((process.env.RTSTT_SHIM_DISABLE ?? '').toLowerCase());

/**
 * Returns whether a package holds OpenAI's host name and a mention of the realtime API.
 *
 * @param {NpmPackage} copy
 * @param {Unread} unread
 */
function talksToOpenAI(copy, unread) {
  const manifest = (copy.read('package.json', unread) ?? '').toLowerCase();
  if (!rules.unknown.hints.some((hint) => manifest.includes(hint))) return false;
  let realtime = false;
  let host = false;
  for (const file of copy.files(unread)) {
    if (!rules.unknown.scripts.some((ending) => file.endsWith(ending))) continue;
    const text = copy.read(file, unread) ?? '';
    realtime ||= text.includes('realtime');
    host ||= text.includes('openai.com');
    if (realtime && host) return true;
  }
  return false;
}

/** @type {(copy: NpmPackage, unread: Unread) => Client} */
function unknownClient(copy, unread) {
  const { why, shim } = rules.unknown;
  const fields = described(copy, unread, { verdict: 'unknown', why });
  return { ...fields, shim, covered: false, fix: null, not_needed_from: null };
}

module.exports = { findClients };
