/** A watch that also traces its connection, for RTSTT_SHIM_TRACE; loaded only when that is set. */
'use strict';

const { causeOf, describe } = require('./connect_error.cjs');
const { libraryOn } = require('./library.cjs');
const { SessionTrace } = require('./trace_session.cjs');
const { traceFile } = require('./trace_file.cjs');
const { Watch } = require('./watch.cjs');

/** @import { ConnectionInfo } from './report.cjs' */
/** @import { ConnectCause } from './diagnosis.cjs' */

/**
 * Returns a watch that traces its connection; a plain one if the trace cannot be written.
 *
 * @param {ConnectionInfo} info the connection
 * @param {{ session: 'transcription' | 'conversation', changed: boolean, reason: string }} decision about its URL
 * @param {string} setting the value of RTSTT_SHIM_TRACE
 */
function tracedWatch(info, { session, changed, reason }, setting) {
  const file = traceFile(setting);
  if (!file?.writable) return new Watch(info, session);
  try {
    const { library, version } = libraryOn(info.stack, info.fallback);
    const details = { kind: session, library: `${library} ${version}`.trimEnd(), ...(changed && { corrected: reason }) };
    return new TracedWatch(info, session, new SessionTrace(file, info.url, details));
  } catch (error) {
    file.stop(error);
    return new Watch(info, session);
  }
}

class TracedWatch extends Watch {
  /**
   * @param {ConnectionInfo} info the connection
   * @param {'transcription' | 'conversation'} session what it opens
   * @param {SessionTrace} trace
   */
  constructor(info, session, trace) {
    super(info, session);
    this.trace = trace;
  }

  /** @type {Watch['closed']} */
  closed(code, reason, byClient) {
    this.trace?.closed(code, reason, byClient ? 'client' : 'server');
    super.closed(code, reason, byClient);
  }

  /** @type {Watch['refused']} */
  refused(status, body) {
    this.trace?.refused(status, body);
    super.refused(status, body);
  }

  /** @type {(error: unknown, cause?: ConnectCause) => void} */
  failedToConnect(error, cause = causeOf(error)) {
    this.trace?.failed(describe(error), cause);
    super.failedToConnect(error, cause);
  }

  aborted() {
    super.aborted();
    this.trace?.failed('the application aborted the attempt', 'cancelled');
  }
}

module.exports = { tracedWatch };
