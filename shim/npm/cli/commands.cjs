/** The table of commands, and how each ends. */
'use strict';

const { UsageError } = require('./errors.cjs');
const { runWithPython } = require('./python.cjs');

/** @typedef {(words: string[]) => number | Promise<number>} Command returns the exit code */

const HELP = `usage: rtstt-shim COMMAND ...

  doctor  list the installed clients that OpenAI's endpoint refuses, and what
          the shim does about each
  run     run a Node program with the shim active, child processes included:
          rtstt-shim run -- npm start

These commands need the Python package or uv to be installed:

  patch   patch the LiveKit plugin of this project
  mock, probe, pr, exam, record, inspect, cassette
          see the --help of each

Exit codes: 0 fine, 1 found something or failed, 2 usage error.`;

/** @type {Record<string, Command>} */
const COMMANDS = {
  doctor: (words) => require('./doctor.cjs').doctor(words),
  run: (words) => require('./run.cjs').run(words),
  // Its rules are patterns of ast-grep, which the Python package applies.
  patch: (words) => runWithPython('patch', ['patch-npm', ...words], 'upstream'),
};

/** @type {Record<string, string>} the commands of the Python package, and the extra that each needs */
const EXTRAS = {
  cassette: 'testkit',
  exam: 'exam',
  inspect: 'testkit',
  mock: 'testkit',
  'patch-npm': 'upstream',
  pr: 'upstream',
  probe: 'testkit',
  record: 'testkit',
};

/**
 * Runs the command line and sets the exit code.
 *
 * @param {string[]} words the arguments without the program's name
 */
async function main(words) {
  const [name, ...rest] = words;
  if (name === '--version') {
    console.log(`rtstt-shim ${require('../package.json').version}`);
  } else if (name === undefined || name === '--help' || name === '-h') {
    console.log(HELP);
    process.exitCode = name === undefined ? 2 : 0;
  } else {
    process.exitCode = await codeOf(name, rest);
  }
}

/**
 * @param {string} name
 * @param {string[]} words
 */
async function codeOf(name, words) {
  try {
    if (Object.hasOwn(COMMANDS, name)) return await COMMANDS[name](words);
    if (Object.hasOwn(EXTRAS, name)) return await runWithPython(name, [name, ...words], EXTRAS[name]);
    throw new UsageError(`there is no command '${name}'; see \`rtstt-shim --help\``);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`rtstt-shim: ${error.message}`);
    return 2;
  }
}

module.exports = { main };
