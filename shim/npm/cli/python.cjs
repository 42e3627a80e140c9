/** Finds the command `rtstt-shim` of the Python package, which some commands and the mock need. */
'use strict';

const { spawn } = require('node:child_process');
const { accessSync, constants, readFileSync, realpathSync, statSync } = require('node:fs');
const { constants: system } = require('node:os');
const { delimiter, join } = require('node:path');
const { UsageError } = require('./errors.cjs');
const { version } = require('../package.json');

const WINDOWS = process.platform === 'win32';
// The file that npm, pnpm and yarn link to, or name in the script that they put on PATH.
const OWN = /cli[\\/]main\.cjs/;

/**
 * Returns the path of a program on PATH.
 *
 * @param {string} name
 * @param {(path: string) => boolean} [isWanted]
 * @returns {string | undefined}
 */
function which(name, isWanted = () => true) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const path of WINDOWS ? [join(folder, `${name}.exe`)] : [join(folder, name)]) {
      if (folder && isProgram(path) && isWanted(path)) return path;
    }
  }
  return undefined;
}

/** @param {string} path */
function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * Returns whether a program named rtstt-shim is not the one of an npm package: npm puts that before all others on PATH.
 *
 * @param {string} path
 */
function isPythons(path) {
  return !OWN.test(realpathSync(path)) && !OWN.test(readFileSync(path).toString('latin1', 0, 65_536));
}

/**
 * Returns the words that start the Python package's command, with the way in which it was found.
 *
 * @param {string} extra the extra of the Python package that is needed
 * @returns {{ words: string[], way: string } | undefined}
 */
function findPython(extra) {
  const command = which('rtstt-shim', isPythons);
  if (command) return { words: [command], way: command };
  const requirement = `rtstt-shim[${extra}]==${version}`;
  const uvx = which('uvx');
  if (uvx) return { words: [uvx, '--from', requirement, 'rtstt-shim'], way: 'uvx' };
  const pipx = which('pipx');
  if (pipx) return { words: [pipx, 'run', '--spec', requirement, 'rtstt-shim'], way: 'pipx' };
  return undefined;
}

/**
 * Runs a command of the Python package in place of this one.
 *
 * @param {string} name the command, for the message
 * @param {string[]} words the command and its arguments
 * @param {string} extra
 * @returns {Promise<number>} its exit code
 * @throws {UsageError} there is none
 */
function runWithPython(name, words, extra) {
  const found = findPython(extra);
  if (!found) {
    throw new UsageError(
      `\`rtstt-shim ${name}\` needs Python 3.10 or newer with the package rtstt-shim; install uv, or run ` +
        `\`pip install 'rtstt-shim[${extra}]'\``,
    );
  }
  return runToEnd([...found.words, ...words], process.env);
}

/**
 * Runs a program with this terminal, passes signals on, and returns its exit code; 128 + n if signal n ended it.
 *
 * @param {string[]} words
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<number>}
 * @throws {UsageError} it cannot be started
 */
function runToEnd([program, ...words], env) {
  return new Promise((resolve, reject) => {
    // On Windows `npm` and its kind are scripts, which only a shell starts.
    const child = spawn(program, words, { stdio: 'inherit', env, shell: WINDOWS && !/\.exe$/i.test(program) });
    /** @type {(signal: NodeJS.Signals) => void} */
    const pass = (signal) => {
      // A terminal sends Ctrl-C to the program as well.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    };
    const signals = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);
    for (const signal of signals) process.on(signal, pass);
    child.on('error', (/** @type {NodeJS.ErrnoException} */ error) => {
      reject(new UsageError(`cannot start ${program}: ${error.code}; for example: rtstt-shim run -- node app.js`));
    });
    child.on('exit', (code, signal) => resolve(signal ? 128 + system.signals[signal] : Number(code)));
  });
}

module.exports = { findPython, runToEnd, runWithPython, which };
