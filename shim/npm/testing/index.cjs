/** `rtstt-shim/testing`: a mock of OpenAI's Realtime transcription endpoint for vitest, jest and node:test. */
'use strict';

const { attach, start } = require('./program.cjs');

/** @import { Answers, MockOptions, RealtimeMock, Session, SessionWithEvents } from './index.d.cts' */
/** @import { Running } from './program.cjs' */

/**
 * @param {MockOptions} [options]
 * @returns {Promise<RealtimeMock>}
 */
async function startRealtimeMock({ transcripts, faults, ...options } = {}) {
  const named = process.env.RTSTT_MOCK ?? '';
  const running = /^wss?:/.test(named) ? attach(named, options) : await start(named, options);
  const mock = new Mock(running);
  try {
    if (transcripts ?? faults ?? running.isShared) await mock.load({ transcripts, faults });
  } catch (error) {
    await mock.stop();
    throw error;
  }
  return mock;
}

/** @implements {RealtimeMock} */
class Mock {
  #running;
  #control;

  /** @param {Running} running */
  constructor(running) {
    this.#running = running;
    const origin = running.url.replace(/^ws/, 'http').replace(/\/v1\/realtime$/, '');
    this.url = running.url;
    this.baseUrl = `${origin}/v1`;
    this.#control = `${origin}/_mock`;
    this.inspector = `${this.#control}/${running.token ? `?token=${running.token}` : ''}`;
  }

  /**
   * @param {string} path
   * @param {string} [method]
   * @param {unknown} [body]
   */
  async #request(path, method = 'GET', body) {
    const { token } = this.#running;
    const response = await fetch(`${this.#control}${path}`, {
      method,
      headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (response.ok) return text;
    throw new Error(JSON.parse(text).error.message);
  }

  /** @returns {Promise<Session[]>} */
  async sessions() {
    return JSON.parse(await this.#request('/sessions')).sessions;
  }

  /**
   * @param {number} number
   * @returns {Promise<SessionWithEvents>}
   */
  async session(number) {
    return JSON.parse(await this.#request(`/sessions/${number}`));
  }

  async verify() {
    await this.#request('/verify');
  }

  async explain() {
    return (await this.#request('/explain')).trimEnd();
  }

  /** @param {Answers} answers */
  async load({ transcripts, faults }) {
    const transcript = transcripts?.map((one) => (typeof one === 'string' ? { text: one } : one));
    await this.#request('/script', 'PUT', { transcript, fault: faults });
  }

  async reset() {
    await this.#request('/reset', 'POST');
  }

  /** @param {number} seconds */
  async advance(seconds) {
    await this.#request('/advance', 'POST', { seconds });
  }

  stop() {
    return this.#running.stop();
  }

  async [Symbol.asyncDispose]() {
    await this.stop();
  }
}

module.exports = { startRealtimeMock };
