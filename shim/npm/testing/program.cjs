/** The mock's program: how it is found, started and ended. */
'use strict';

const { spawn, spawnSync } = require('node:child_process');
const { randomBytes } = require('node:crypto');
const { once } = require('node:events');
const { createServer } = require('node:net');
const { createInterface } = require('node:readline');
const { findPython, which } = require('../cli/python.cjs');

/** @import { MockOptions } from './index.d.cts' */
/** @typedef {Omit<MockOptions, 'transcripts' | 'faults'>} ProgramOptions */
/** @typedef {{ words: string[], way: string, token?: string, url?: string }} Program `way` names it in messages */
/** @typedef {{ url: string, token?: string, isShared: boolean, stop: () => Promise<void> }} Running */

const NOT_FOUND =
  'the mock is a Python program, and neither rtstt-shim, uvx, pipx nor a container image rtstt-shim-mock is installed; ' +
  "run `pip install 'rtstt-shim[testkit]'` (Python 3.10 or newer) or install uv, or name a command in RTSTT_MOCK";
const KILL_MS = 10_000;
// What a failing start is explained with.
const MAX_STDERR = 4096;

/** @type {Record<keyof ProgramOptions, (value: any) => string[]>} options as arguments of `rtstt-shim mock` */
const ARGUMENTS = {
  profile: (value) => ['--profile', value],
  refuse: (value) => ['--refuse', value],
  account: (value) => ['--account', value],
  latency: (value) => ['--latency', value],
  seed: (value) => ['--seed', String(value)],
  virtualTime: (value) => (value ? ['--virtual-time'] : []),
  compression: (value) => (value ? ['--compression'] : []),
  lenientCommit: (value) => (value ? ['--lenient-commit'] : []),
  allowOrigins: (value) => value.flatMap((/** @type {string} */ origin) => ['--allow-origin', origin]),
};

/**
 * Returns a mock that is already running.
 *
 * @param {string} url
 * @param {ProgramOptions} options
 * @returns {Running}
 */
function attach(url, options) {
  const [given] = argumentsOf(options);
  if (given) throw new Error(`RTSTT_MOCK names a running mock, which does not take ${given}; start the mock with that option`);
  return { url, token: process.env.RTSTT_MOCK_TOKEN, isShared: true, stop: async () => {} };
}

/**
 * Starts a mock.
 *
 * @param {string} command what RTSTT_MOCK holds
 * @param {ProgramOptions} options
 * @returns {Promise<Running>}
 */
async function start(command, options) {
  const { words, way, token, url } = await find(command);
  const [program, ...before] = words;
  // The mock ends with its standard input, and so with this process, however it ends.
  const child = spawn(program, [...before, '--exit-on-eof', ...argumentsOf(options)], { stdio: 'pipe' });
  let stderr = '';
  child.stderr.on('data', (data) => {
    stderr = (stderr + data).slice(-MAX_STDERR);
  });
  child.stdin.on('error', () => {});
  const ended = new Promise((resolve) => {
    child.on('error', (/** @type {NodeJS.ErrnoException} */ error) => resolve(error.code));
    // `close` comes after the last of stderr, `exit` may come before.
    child.on('close', (code, signal) => resolve(stderr.trim().split('\n').at(-1) || `it ended with ${signal ?? code}`));
  });
  const first = once(createInterface(child.stdout), 'line');
  const line = await Promise.race([first.then(([text]) => String(text)), ended.then(() => undefined)]);
  const address = /^listening on (ws:\S+)/.exec(line ?? '')?.[1];
  if (!address) {
    child.kill();
    const reason = String(line === undefined ? await ended : `it printed '${line}'`).replace(/^rtstt-shim: /, '');
    throw new Error(`the mock was not started by ${way}: ${reason}`);
  }
  // A test that forgets to stop it can end all the same.
  for (const one of [child, child.stdin, child.stdout, child.stderr]) /** @type {any} */ (one).unref();
  const stop = async () => {
    child.ref();
    child.stdin.end();
    const timer = setTimeout(() => child.kill('SIGKILL'), KILL_MS);
    await ended;
    clearTimeout(timer);
  };
  return { url: url ?? address, token, isShared: false, stop };
}

/** @param {ProgramOptions} options */
function argumentsOf(options) {
  return Object.entries(options).flatMap(([name, value]) => {
    if (!Object.hasOwn(ARGUMENTS, name)) {
      throw new Error(`there is no option '${name}'; the options are transcripts, faults, ${Object.keys(ARGUMENTS).join(', ')}`);
    }
    return value === undefined ? [] : ARGUMENTS[/** @type {keyof ProgramOptions} */ (name)](value);
  });
}

/**
 * Returns the words that start the mock.
 *
 * @param {string} command what RTSTT_MOCK holds
 * @returns {Promise<Program>}
 */
async function find(command) {
  if (command) return { words: [...wordsOf(command), 'mock'], way: `RTSTT_MOCK (${command})` };
  const python = findPython('testkit');
  if (python) return { words: [...python.words, 'mock'], way: python.way };
  const container = await findContainer();
  if (container) return container;
  throw new Error(NOT_FOUND);
}

/**
 * Returns the words of a command; a path with spaces is in double quotes.
 *
 * @param {string} command
 */
function wordsOf(command) {
  return Array.from(command.matchAll(/"([^"]*)"|\S+/g), ([word, quoted]) => quoted ?? word);
}

/** @returns {Promise<Program | undefined>} */
async function findContainer() {
  const image = process.env.RTSTT_MOCK_IMAGE ?? 'rtstt-shim-mock';
  const engine = ['docker', 'podman'].map((name) => which(name)).find((found) => found && hasImage(found, image));
  if (!engine) return undefined;
  const port = await freePort();
  const token = randomBytes(16).toString('hex');
  const words = [engine, 'run', '--rm', '--interactive', '--publish', `127.0.0.1:${port}:8080`, image, '--token', token];
  // The mock prints its address inside the container.
  return { words, way: `${engine} with the image ${image}`, token, url: `ws://127.0.0.1:${port}/v1/realtime` };
}

/** @type {(engine: string, image: string) => boolean} */
function hasImage(engine, image) {
  return spawnSync(engine, ['image', 'inspect', image], { stdio: 'ignore' }).status === 0;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  server.close();
  await once(server, 'close');
  return port;
}

module.exports = { attach, start };
