/**
 * The preload: `node --require rtstt-shim/register app.js`. It is `node/register.cjs`, behind a check of the version in
 * a syntax that every Node.js can parse.
 */
'use strict';

if (Number(process.versions.node.split('.')[0]) >= 16) {
  require('./node/register.cjs');
} else if (!process.env.RTSTT_SHIM_DISABLE) {
  console.error('rtstt_shim: needs Node.js 20 or newer and does nothing in ' + process.version);
}
