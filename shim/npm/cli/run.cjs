/** `rtstt-shim run -- COMMAND…`: a Node program with the shim active in it and in its children, without an edit. */
'use strict';

const { join } = require('node:path');
const { UsageError } = require('./errors.cjs');
const { addPreload } = require('./node_options.cjs');
const { runToEnd, runWithPython } = require('./python.cjs');

const EXAMPLE = 'for example: rtstt-shim run -- node app.js';
const HELP = `usage: rtstt-shim run [--no-shim] -- COMMAND...

Adds --require of the shim to NODE_OPTIONS, so that it is active in every Node
process that COMMAND starts. Programs such as \`next dev\` keep only one
--require, so your own are loaded through RTSTT_SHIM_REQUIRE. --no-shim shows
what happens without the shim. --route HOST=HOST:PORT, and Python programs, need
the Python package's command.

Exit codes: the program's, 128 + n if signal n ended it, 2 if it could not be
started.`;

/** @param {string[]} words */
function run(words) {
  const end = words.indexOf('--');
  const options = end < 0 ? words.filter((word, at) => word.startsWith('-') && at === 0) : words.slice(0, end);
  const command = end < 0 ? words.slice(options.length) : words.slice(end + 1);
  if (options.includes('--help') || options.includes('-h')) {
    console.log(HELP);
    return 0;
  }
  if (options.some((word) => word.startsWith('--route'))) return runWithPython('run --route', ['run', ...words], 'testkit');
  const unknown = options.find((word) => word !== '--no-shim');
  if (unknown) throw new UsageError(`unrecognized arguments: ${unknown}; see \`rtstt-shim run --help\``);
  if (!command[0]) throw new UsageError(`there is no COMMAND to run; ${EXAMPLE}`);
  const env = { ...process.env };
  if (options.includes('--no-shim')) env.RTSTT_SHIM_DISABLE = '1';
  addPreload(env, join(__dirname, '..', 'register.cjs'));
  return runToEnd(command, env);
}

module.exports = { run };
