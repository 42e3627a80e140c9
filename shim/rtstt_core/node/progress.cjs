/**
 * How far a transcription session came: the reason if it ends with neither a transcript nor an error. The twin of
 * `progress.py`.
 */
'use strict';

/** @import { SilenceCause } from './diagnosis.cjs' */

class Progress {
  #audio = false;
  #audible = false;
  #commit = false;
  #committed = false;
  #speech = false;
  // Undefined while unknown: gateways leave the settings out.
  /** @type {boolean | undefined} */
  #configured;
  /** @type {boolean | undefined} */
  #vad;

  /** Whether the settings that the server sent are those of a conversation. */
  isConversation = false;

  /**
   * Notes that the client appended audio.
   *
   * @param {boolean} audible whether a sample of it may be other than zero
   */
  appended(audible) {
    this.#audio = true;
    this.#audible ||= audible;
  }

  /** Whether `appended` still has to find out if a sample is other than zero. */
  get listens() {
    return !this.#audible;
  }

  /** Notes that the client committed its audio. */
  commit() {
    this.#commit = true;
  }

  /**
   * Examines a message of the server.
   *
   * @param {string} head the message's beginning
   * @param {Buffer | string} data the message
   * @returns {boolean} whether there is nothing left to find out: a transcript came, or the session is a conversation
   */
  received(head, data) {
    if (head.includes('"conversation.item.input_audio_transcription.')) return true;
    if (head.includes('"input_audio_buffer.speech_started"')) this.#speech = true;
    else if (head.includes('"input_audio_buffer.committed"')) this.#committed = true;
    else if (head.includes('session.created"') || head.includes('session.updated"')) this.#settings(data);
    return this.isConversation;
  }

  /** @param {Buffer | string} data */
  #settings(data) {
    let session;
    try {
      ({ session } = JSON.parse(data.toString()));
    } catch {
      return;
    }
    if (typeof session !== 'object' || session === null) return;
    this.isConversation = session.type === 'realtime';
    // The beta API and Azure's preview have the settings of the audio in the session itself.
    const settings = session.audio ? session.audio.input : session;
    const transcription = settings?.[session.audio ? 'transcription' : 'input_audio_transcription'];
    const vad = settings?.turn_detection;
    this.#configured = transcription === undefined ? undefined : transcription !== null;
    this.#vad = vad === undefined ? undefined : vad !== null;
  }

  /** @returns {SilenceCause | undefined} why no transcript came; undefined if no audio was sent */
  silence() {
    if (!this.#audio) return undefined;
    if (this.#configured === false) return 'not-configured';
    if (!this.#audible) return 'silence';
    if (this.#committed) return 'pending';
    if (this.#vad === false && !this.#commit) return 'not-committed';
    if (this.#vad && !this.#speech) return 'no-speech';
    return 'other';
  }
}

module.exports = { Progress };
