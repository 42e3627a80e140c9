/** One message as it is traced, without secrets, and without audio unless that is kept: the twin of `trace/event.py`. */
'use strict';

const { maskJson, maskKeys } = require('./masking.cjs');

// A longer text, such as an image as a data URL, is cut.
const MAX_TEXT = 20_000;
const MAX_UNKNOWN = 200;
// Bytes a millisecond: 16-bit PCM at 24 kHz, and G.711 at 8 kHz.
const PCM = 48;
const G711 = 8;

/** The audio formats of one session, in bytes a millisecond, as far as its events show them. */
class AudioRates {
  input = PCM;
  output = PCM;

  /**
   * Reads the formats from an event that describes the session.
   *
   * @param {any} event
   */
  update({ session }) {
    if (typeof session !== 'object' || session === null) return;
    for (const direction of /** @type {const} */ (['input', 'output'])) {
      // The Beta's sessions have `input_audio_format`, such as `g711_ulaw`.
      const name = session.audio?.[direction]?.format?.type ?? session[`${direction}_audio_format`];
      if (typeof name === 'string') this[direction] = /^(?:audio\/pcm[ua]$|g711)/.test(name) ? G711 : PCM;
    }
  }
}

/**
 * Returns the event of a TEXT message. In place of audio it has `audio_bytes` and `audio_ms`; audio that is kept stands
 * beside them. A text that is not an event becomes one of the type `(no event)` with the beginning of the text.
 *
 * @param {string} message
 * @param {AudioRates} rates the session's audio formats, which the event may change
 * @param {boolean} keepAudio
 */
function tracedText(message, rates, keepAudio) {
  let event;
  try {
    event = JSON.parse(message);
  } catch {
    // No JSON.
  }
  if (typeof event?.type !== 'string') {
    // Masked before it is cut: a part of a key no longer looks like one.
    return { type: '(no event)', text: maskKeys(message).slice(0, MAX_UNKNOWN) };
  }
  rates.update(event);
  if (event.type.endsWith('audio.delta')) replaceAudio(event, 'delta', rates.output, keepAudio);
  replaceAudioIn(event, rates.input, keepAudio);
  return cut(maskJson(event));
}

/**
 * Replaces the audio of an append and of content parts.
 *
 * @param {any} data
 * @param {number} rate
 * @param {boolean} keepAudio
 */
function replaceAudioIn(data, rate, keepAudio) {
  if (typeof data !== 'object' || data === null) return;
  if (!Array.isArray(data)) replaceAudio(data, 'audio', rate, keepAudio);
  for (const value of Object.values(data)) replaceAudioIn(value, rate, keepAudio);
}

/** @type {(event: any, name: string, rate: number, keepAudio: boolean) => void} */
function replaceAudio(event, name, rate, keepAudio) {
  const audio = event[name];
  if (typeof audio !== 'string') return;
  const padding = audio.endsWith('==') ? 2 : audio.endsWith('=') ? 1 : 0;
  const size = Math.max(0, Math.floor((audio.length * 3) / 4) - padding);
  if (!keepAudio) delete event[name];
  event.audio_bytes = size;
  event.audio_ms = Math.round((size / rate) * 10) / 10;
}

/**
 * Returns JSON data with its long texts cut, except audio that is kept.
 *
 * @param {any} data
 * @returns {any}
 */
function cut(data) {
  if (typeof data === 'string') {
    return data.length <= MAX_TEXT ? data : `${data.slice(0, MAX_TEXT)}… [${data.length} characters]`;
  }
  if (typeof data !== 'object' || data === null) return data;
  for (const [name, value] of Object.entries(data)) {
    const isAudio = 'audio_bytes' in data && (name === 'audio' || name === 'delta') && typeof value === 'string';
    const shown = isAudio ? value : cut(value);
    if (shown !== value) data[name] = shown;
  }
  return data;
}

module.exports = { AudioRates, tracedText };
