/** The watch of a connection in Node.js: one that traces it as well, if RTSTT_SHIM_TRACE is set. */
'use strict';

const { Watch } = require('./watch.cjs');

/** @import { ConnectionInfo } from './report.cjs' */

/**
 * @param {ConnectionInfo} info the connection
 * @param {{ session: 'transcription' | 'conversation', changed: boolean, reason: string }} decision about its URL
 * @returns {Watch}
 */
function chooseWatch(info, decision) {
  const setting = process.env.RTSTT_SHIM_TRACE;
  if (!setting) return new Watch(info, decision.session);
  return require('./traced_watch.cjs').tracedWatch(info, decision, setting);
}

module.exports = { chooseWatch };
