/** `rtstt-shim doctor` for npm packages: the twin of the Python package's command, which examines more. */
'use strict';

const { findClients } = require('./clients.cjs');
const { UsageError } = require('./errors.cjs');
const { Unread, isFolder, printable, real } = require('./tree.cjs');

/** @import { Client } from './clients.cjs' */

const HELP = `usage: rtstt-shim doctor [--format text|json] [PATH]

List the installed npm packages below PATH (default: here) whose transcription
sessions OpenAI's endpoint refuses, and what the shim does about each. The
command executes nothing that it examines.

Exit codes: 0 nothing is affected and uncovered, 1 something is, 2 usage error,
or something could not be read.`;
const REST =
  'Python packages and source code were not examined: the Python package does that ' +
  "(uvx --from 'rtstt-shim[upstream]' rtstt-shim doctor)";
/** @type {Record<Client['verdict'], [string, string]>} */
const STATES = { affected: ['!', 'AFFECTED'], 'not affected': ['-', 'not affected'], unknown: ['?', 'not known'] };
/** @type {[string, string]} */
const COVERED = ['+', 'affected, covered'];

/** @param {string[]} words */
function doctor(words) {
  const { path, json, help } = parse(words);
  if (help) {
    console.log(HELP);
    return 0;
  }
  if (!isFolder(path)) throw new UsageError(`${printable(path)} is not a folder; give the folder of a project`);
  const unread = new Unread();
  const clients = findClients(path, unread);
  console.log(json ? JSON.stringify(clients, undefined, 2) : text(path, clients));
  for (const note of unread.notes) console.error(`rtstt-shim: cannot read ${printable(note)}`);
  if (unread.notes.size) return 2;
  return clients.some(({ affected, covered }) => affected && !covered) ? 1 : 0;
}

/** @param {string[]} words */
function parse(words) {
  const found = { path: '.', json: false, help: false };
  const paths = [];
  for (let at = 0; at < words.length; at++) {
    const [name, value = ''] = words[at].split(/=(.*)/s, 2);
    if (name === '--json') found.json = true;
    else if (name === '--format') found.json = isJson(value || words[(at += 1)]);
    else if (name === '--help' || name === '-h') found.help = true;
    else if (['--python', '--fix', '--yes', '--force', '--fail-unneeded'].includes(name)) throw new UsageError(needsPython(name));
    else if (name.startsWith('-')) throw new UsageError(`unrecognized arguments: ${name}; see \`rtstt-shim doctor --help\``);
    else paths.push(words[at]);
  }
  if (paths.length > 1) throw new UsageError(`unrecognized arguments: ${paths[1]}; see \`rtstt-shim doctor --help\``);
  return { ...found, path: paths[0] ?? found.path };
}

/** @param {string | undefined} format */
function isJson(format) {
  if (format === 'github' || format === 'sarif') throw new UsageError(needsPython(`--format ${format}`));
  if (format !== 'text' && format !== 'json') {
    throw new UsageError(`there is no format '${format ?? ''}'; choose text or json`);
  }
  return format === 'json';
}

/** @param {string} option */
const needsPython = (option) =>
  `${option} needs the Python package: uvx --from 'rtstt-shim[upstream]' rtstt-shim doctor ${option}`;

/**
 * @param {string} path
 * @param {Client[]} clients
 */
function text(path, clients) {
  const lines = wrap(`npm packages of ${real(path)}`);
  for (const client of clients) lines.push(...linesOf(client));
  if (!clients.length) lines.push(...wrap('no known client', 2));
  return [...lines, ...wrap(REST)].join('\n');
}

/** @param {Client} client */
function linesOf({ name, version, verdict, affected, covered, why, shim, fix, not_needed_from, path }) {
  const [mark, word] = affected && covered ? COVERED : STATES[verdict];
  const lines = wrap(`${`${mark} ${name} ${version}`.trimEnd()}: ${word}: ${why}`, 2);
  if ((mark === '!' || mark === '+') && process.stdout.isTTY) {
    lines[0] = lines[0].replace(word, `\x1b[${mark === '!' ? 31 : 32}m${word}\x1b[0m`);
  }
  if (affected) lines.push(...wrap(`shim: ${shim}`, 6));
  if (fix) lines.push(...wrap(`fix: ${fix}`, 6));
  else if (not_needed_from) lines.push(...wrap(`shim: not needed from ${not_needed_from}`, 6));
  return [...lines, ...wrap(path, 6)];
}

/**
 * Returns a paragraph as lines that fit the terminal; 80 columns where its width is not known.
 *
 * @param {string} paragraph
 * @param {number} [indent] the spaces before each line; lines after the first get two more
 */
function wrap(paragraph, indent = 0) {
  const width = Math.max(20, Number(process.env.COLUMNS) || process.stdout.columns || 80);
  const lines = [];
  let line = '';
  for (let word of printable(paragraph).split(' ').filter(Boolean)) {
    const room = () => width - indent - (lines.length ? 2 : 0);
    if (line && line.length + 1 + word.length <= room()) {
      line += ` ${word}`;
      continue;
    }
    if (line) lines.push(line);
    while (word.length > room()) {
      const start = word.slice(0, room());
      lines.push(start);
      word = word.slice(start.length);
    }
    line = word;
  }
  if (line) lines.push(line);
  return lines.map((one, at) => ' '.repeat(indent + (at ? 2 : 0)) + one);
}

module.exports = { doctor };
