#!/usr/bin/env node
/** The command `rtstt-shim` of the npm package. Commands that need Python are handed to the Python package's command. */
'use strict';

var major = Number(process.versions.node.split('.')[0]);
if (major < 20) {
  console.error('rtstt-shim: needs Node.js 20 or newer, and this is ' + process.version);
  process.exitCode = 2;
} else {
  require('./commands.cjs').main(process.argv.slice(2));
}
