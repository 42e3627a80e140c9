/**
 * What a client writes on a transcription socket after its handshake: whether it appended and committed audio.
 *
 * No I/O. Only the beginning of a message is unmasked. Of a compressed message only the length is known.
 */
'use strict';

/** @import { Progress } from './progress.cjs' */

const TEXT = 0x1;
// A message shows its type within this many bytes.
const HEAD = 64;
// A compressed message longer than this holds audio: no other event of a client is that long.
const COMPRESSED_AUDIO = 1024;
const AUDIO = /"audio":\s*"/;

class ClientStream {
  #progress;
  // Bytes of a payload that are still to come, and the frame whose payload begins the next chunk.
  #skip = 0;
  /** @type {{ first: number, length: number, mask: Uint8Array } | undefined} */
  #header;
  #lost = false;

  /** @param {Progress} progress */
  constructor(progress) {
    this.#progress = progress;
  }

  /**
   * Receives bytes as the client writes them: a frame begins with a chunk or after another frame, and a header is never cut.
   *
   * @param {Uint8Array} chunk
   */
  receive(chunk) {
    let at = this.#skip;
    while (at < chunk.length && !this.#lost) {
      if (!this.#header) {
        const header = readHeader(chunk, at);
        if (!header) {
          this.#lost = true;
          return;
        }
        at += header.size;
        this.#header = header;
        if (at >= chunk.length && header.length > 0) break;
      }
      const { first, length, mask } = this.#header;
      this.#header = undefined;
      this.#readPayload(first, length, mask, chunk.subarray(at, at + length));
      at += length;
    }
    this.#skip = Math.max(0, at - chunk.length);
  }

  /**
   * @param {number} first the frame's first byte
   * @param {number} length of the payload
   * @param {Uint8Array} mask
   * @param {Uint8Array} payload what is there of it
   */
  #readPayload(first, length, mask, payload) {
    if ((first & 0x0f) !== TEXT) return;
    if (first & 0x40) {
      if (length > COMPRESSED_AUDIO) this.#progress.appended(true);
      return;
    }
    let head = '';
    for (let i = 0; i < HEAD && i < payload.length; i++) head += String.fromCharCode(payload[i] ^ mask[i & 3]);
    if (head.includes('input_audio_buffer.append')) {
      const audio = AUDIO.exec(head);
      const start = audio ? audio.index + audio[0].length : 0;
      this.#progress.appended(
        !this.#progress.listens || !audio || payload.length < length || !isUniform(payload, start),
      );
    } else if (head.includes('input_audio_buffer.commit')) {
      this.#progress.commit();
    }
  }
}

/**
 * Returns whether a masked text is one character, repeated up to the last bytes: base64 of samples that are all zero.
 *
 * @param {Uint8Array} payload
 * @param {number} start where the text begins
 */
function isUniform(payload, start) {
  // The last quantum of base64 may be padded; the quote and the brace of the event follow it.
  const end = payload.length - 12;
  for (let i = start; i < end; i++) {
    // The mask repeats every four bytes.
    if (payload[i] !== payload[i + 4]) return false;
  }
  return true;
}

/**
 * Reads the header of a client's frame (RFC 6455 section 5.2).
 *
 * @param {Uint8Array} chunk
 * @param {number} at
 */
function readHeader(chunk, at) {
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.length);
  const masked = chunk[at + 1] & 0x80;
  const short = chunk[at + 1] & 0x7f;
  const size = (short < 126 ? 2 : short === 126 ? 4 : 10) + 4;
  if (!masked || chunk.length - at < size) return undefined;
  const length = short < 126 ? short : short === 126 ? view.getUint16(at + 2) : Number(view.getBigUint64(at + 2));
  return { first: chunk[at], length, mask: chunk.slice(at + size - 4, at + size), size };
}

module.exports = { ClientStream };
