/**
 * The `error` and `failed` events of one connection, kept until a close shows whether one ended the session: the twin of
 * `error_events.py`.
 *
 * A client in a loop may cause thousands of them a second. One that came before is recognised without parsing it, and
 * only counted.
 */
'use strict';

/** @import { Symptom } from './diagnosis.cjs' */

/**
 * @typedef {{ symptom: Symptom, at: number, count: number, beginning: string }} ErrorEvent `at` in ms of
 *   `performance.now()`; `beginning` are the first characters of its message, which hold its type in most cases
 */

// So many different errors are kept; further ones are only counted.
const MAX_EVENTS = 32;
const BEGINNING = '{"type":"error'.length;
// A longer text of a server is cut before it is diagnosed.
const MAX_TEXT = 4096;
const FAILED = 'conversation.item.input_audio_transcription.failed';

class ErrorEvents {
  /** @type {Map<string, ErrorEvent>} */
  #events = new Map();
  /** @type {ErrorEvent | undefined} */
  #newest;

  /** Whether an event is kept. */
  get any() {
    return this.#events.size > 0;
  }

  /**
   * Adds an event, or counts it if it came before.
   *
   * @param {Buffer | string} data a message of the server
   * @param {string} head its beginning, in which each byte is a character
   * @returns {boolean} whether it is the first one that is kept
   */
  add(data, head) {
    // Most error events are no longer than what was decoded of them already.
    let text = head;
    if (head.length < data.length) text = typeof data === 'string' ? data : data.toString('latin1');
    const key = fingerprint(text);
    const beginning = key.slice(0, BEGINNING);
    const full = this.#events.size >= MAX_EVENTS;
    const known = this.#events.get(key) ?? (full && this.#newest?.beginning === beginning ? this.#newest : undefined);
    if (known) {
      known.count += 1;
      this.#newest = known;
      return false;
    }
    const symptom = symptomOf(data);
    if (!symptom) return false;
    if (full && this.#newest) {
      this.#newest.count += 1;
      return false;
    }
    this.#newest = { symptom, at: performance.now(), count: 1, beginning };
    this.#events.set(key, this.#newest);
    return this.#events.size === 1;
  }

  /**
   * Removes and returns the events, the newest one last.
   *
   * @param {number} [until] keep the newest event if it came after this time: a close that it caused may still follow
   */
  pop(until = Infinity) {
    const newest = this.#newest;
    const events = [...this.#events].filter(([, event]) => event !== newest);
    const kept = [...this.#events].find(([, event]) => event === newest);
    this.#events.clear();
    this.#newest = undefined;
    if (!newest || !kept) return [];
    if (newest.at <= until) return [...events.map(([, event]) => event), newest];
    this.#events.set(...kept);
    this.#newest = newest;
    return events.map(([, event]) => event);
  }
}

/**
 * Returns the part of an event that is the same when the same error comes again.
 *
 * @param {string} data
 */
function fingerprint(data) {
  // Two ids are left out: the event's own, before the error object, and that of the client's event, at its end.
  const start = data.indexOf('"error":');
  if (start < 0) return data;
  const end = data.lastIndexOf('"event_id"');
  return data.slice(0, BEGINNING) + data.slice(start, end > start ? end : undefined);
}

/**
 * Returns what an event reports; nothing for an event of another type.
 *
 * @param {Buffer | string} data
 * @returns {Symptom | undefined}
 */
function symptomOf(data) {
  let event;
  try {
    event = JSON.parse(data.toString());
  } catch {
    return undefined;
  }
  if (event?.type !== 'error' && event?.type !== FAILED) return undefined;
  const { error } = event;
  const isObject = typeof error === 'object' && error !== null;
  // Some gateways send a string as `error`, or the fields of the error object beside it.
  const fields = isObject ? error : { ...event, type: undefined, message: error ?? event.message };
  return {
    kind: event.type === 'error' ? 'error' : 'failed',
    type: textOf(fields.type),
    code: textOf(fields.code),
    message: textOf(fields.message),
    param: textOf(fields.param),
  };
}

/**
 * Returns a value as a text that is short enough to search.
 *
 * @param {unknown} value
 */
function textOf(value) {
  return value === undefined || value === null ? undefined : String(value).slice(0, MAX_TEXT);
}

module.exports = { ErrorEvents, textOf };
