/**
 * The messages and the CLOSE frame of a WebSocket server, read from its bytes (RFC 6455). With permessage-deflate the
 * messages are only counted.
 *
 * No I/O. A message that cannot be of interest (binary, too long, or without interest by its beginning) is skipped
 * without being kept: it costs little more than the reading of its header, whatever its length.
 */
'use strict';

const CONTINUATION = 0x0;
const TEXT = 0x1;
const BINARY = 0x2;
const CLOSE = 0x8;
// The first byte of a text message in one frame, not compressed.
const WHOLE_TEXT = 0x80 | TEXT;

// An event shows its type and its `error` object within this many bytes.
const HEAD = 512;
// An error event is a few hundred bytes long.
const MAX_MESSAGE = 65_536;

/**
 * @typedef {object} MessageReceiver
 * @property {(head: string) => boolean} wants returns whether a text message is of interest, by its beginning, in which
 *   each byte is a character
 * @property {(data: Buffer, head: string) => void} message receives one whole text message of interest
 * @property {() => void} delta receives a delta
 * @property {() => void} arrived learns that a message arrived on a compressed connection, whose messages are not read
 * @property {(code: number, reason: string) => void} closed receives the CLOSE frame; 1005 if it has no code
 */

// How most messages of a transcription session begin.
const DELTA = Buffer.from('{"type":"conversation.item.input_audio_transcription.delta"');
// Eight bytes at a time are compared, as doubles: those of ASCII are equal only if the bytes are. No other type of event
// both begins and ends like this one, at this length.
const LAST = DELTA.length - 8;
const [FIRST_8, NEXT_8, LAST_8] = [0, 8, LAST].map((place) => DELTA.readDoubleLE(place));

/**
 * Skips deltas, each of them a whole text message that is not compressed.
 *
 * @param {Buffer} data
 * @param {number} at where a frame begins
 * @returns {number} where the first other frame begins, or one whose header is incomplete; beyond the end of the data if
 *   the last delta is incomplete
 */
function skipDeltas(data, at) {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const last = data.length - 4 - DELTA.length;
  while (at <= last && data[at] === WHOLE_TEXT) {
    const length = data[at + 1];
    const start = length < 126 ? at + 2 : at + 4;
    const end = length < 126 ? start + length : start + view.getUint16(at + 2);
    if (length > 126 || end - start < DELTA.length) break;
    if (view.getFloat64(start, true) !== FIRST_8 || view.getFloat64(start + 8, true) !== NEXT_8) break;
    if (view.getFloat64(start + LAST, true) !== LAST_8) break;
    at = end;
  }
  return at;
}

class FrameReader {
  #receiver;
  #compressed;

  // The beginning of a frame that is incomplete, and how many of its bytes are needed.
  /** @type {Buffer[]} */
  #chunks = [];
  #size = 0;
  #needed = 2;
  // How many bytes of a skipped frame are still to come.
  #skip = 0;
  #closed = false;

  // The frames of the message that is coming in; undefined while none of interest is.
  /** @type {Buffer[] | undefined} */
  #fragments;
  #fragmentsSize = 0;

  /**
   * @param {MessageReceiver} receiver
   * @param {boolean} [compressed] whether permessage-deflate was agreed (RFC 7692)
   */
  constructor(receiver, compressed = false) {
    this.#receiver = receiver;
    this.#compressed = compressed;
  }

  /**
   * Receives bytes as they arrive, cut anywhere.
   *
   * @param {Buffer} data
   */
  receive(data) {
    if (this.#closed) return;
    let at = this.#skip;
    if (at < data.length && this.#size > 0) at = this.#completeFrame(data, at);
    if (at < data.length && !this.#closed) at = this.#readFrames(data, at);
    this.#skip = Math.max(0, at - data.length);
  }

  /**
   * Completes the frame that was cut. Only its own bytes are joined: to join all that arrived would copy it.
   *
   * @param {Buffer} data
   * @param {number} at where the frame continues
   * @returns {number} where the next frame begins; the end of the data if this one is still incomplete
   */
  #completeFrame(data, at) {
    for (let length = 0; length === 0 && !this.#closed; ) {
      const piece = data.subarray(at, at + this.#needed - this.#size);
      this.#keep(piece);
      at += piece.length;
      if (this.#size < this.#needed) return at;
      const joined = Buffer.concat(this.#chunks);
      length = this.#readFrame(joined, 0);
      if (length > 0) at += length - joined.length;
    }
    this.#chunks = [];
    this.#size = 0;
    return at;
  }

  /**
   * Reads all complete frames, and keeps the beginning of an incomplete one.
   *
   * @param {Buffer} data
   * @param {number} at where the first frame begins
   * @returns {number} where the next frame begins, which may be beyond the end of the data
   */
  #readFrames(data, at) {
    while (at < data.length && !this.#closed) {
      const next = this.#compressed ? at : skipDeltas(data, at);
      if (next > at) {
        this.#fragments = undefined;
        this.#receiver.delta();
        at = next;
        continue;
      }
      const length = this.#readFrame(data, at);
      if (length === 0) {
        // A copy: a view would keep all of the data in memory.
        this.#keep(Buffer.from(data.subarray(at)));
        return data.length;
      }
      at += length;
    }
    return at;
  }

  /** @param {Buffer} piece of an incomplete frame */
  #keep(piece) {
    this.#chunks.push(piece);
    this.#size += piece.length;
  }

  /**
   * Reads one frame.
   *
   * @param {Buffer} data
   * @param {number} at where it begins
   * @returns {number} its length, which may reach beyond the end of the data if it is skipped; 0 if more bytes are needed
   */
  #readFrame(data, at) {
    this.#needed = 2;
    if (data.length - at < 2) return 0;
    const first = data[at];
    let length = data[at + 1];
    let head = 2;
    if (length >= 126) {
      if (length & 0x80) {
        // A server never masks (RFC 6455 section 5.1): this is no WebSocket.
        this.#closed = true;
        return 0;
      }
      head = length === 126 ? 4 : 10;
      this.#needed = head;
      if (data.length - at < head) return 0;
      length = head === 4 ? data.readUInt16BE(at + 2) : Number(data.readBigUInt64BE(at + 2));
    }
    const whole = head + length;
    const start = at + head;
    const opcode = first & 0x0f;
    if (this.#compressed && opcode !== CLOSE) {
      if (opcode === TEXT || opcode === BINARY) this.#receiver.arrived();
      return whole;
    }
    if (first === WHOLE_TEXT) {
      this.#fragments = undefined;
      if (length > MAX_MESSAGE) return whole;
      this.#needed = head + Math.min(length, HEAD);
      if (data.length - at < this.#needed) return 0;
      const text = data.toString('latin1', start, Math.min(start + HEAD, start + length));
      if (!this.#receiver.wants(text)) return whole;
      this.#needed = whole;
      if (data.length - at < whole) return 0;
      this.#receiver.message(data.subarray(start, at + whole), text);
      return whole;
    }
    if (!this.#wantsFrame(opcode, (first & 0x40) !== 0, length)) return whole;
    this.#needed = whole;
    if (data.length - at < whole) return 0;
    const payload = data.subarray(start, at + whole);
    if (opcode === CLOSE) {
      this.#closed = true;
      if (length < 2) this.#receiver.closed(1005, '');
      else this.#receiver.closed(payload.readUInt16BE(0), payload.toString('utf8', 2));
    } else {
      this.#receiveFragment(payload, (first & 0x80) !== 0);
    }
    return whole;
  }

  /**
   * Returns whether the payload of a frame has to be kept; called again when more of the frame has arrived.
   *
   * @param {number} opcode
   * @param {boolean} reserved whether the bit of an extension is set, and none was agreed: the client closes
   * @param {number} length
   */
  #wantsFrame(opcode, reserved, length) {
    if (opcode === CLOSE) return true;
    if (opcode === TEXT || opcode === BINARY) {
      this.#fragments = opcode === BINARY || reserved ? undefined : [];
      this.#fragmentsSize = 0;
    } else if (opcode !== CONTINUATION) {
      return false;
    }
    if (this.#fragmentsSize + length > MAX_MESSAGE) this.#fragments = undefined;
    return this.#fragments !== undefined;
  }

  /**
   * @param {Buffer} payload
   * @param {boolean} fin whether it ends its message
   */
  #receiveFragment(payload, fin) {
    const fragments = /** @type {Buffer[]} */ (this.#fragments);
    // A copy: a view would keep the whole chunk in memory while it waits.
    fragments.push(fin ? payload : Buffer.from(payload));
    this.#fragmentsSize += payload.length;
    if (!fin) return;
    this.#fragments = undefined;
    const message = fragments.length === 1 ? payload : Buffer.concat(fragments);
    const text = message.toString('latin1', 0, HEAD);
    if (this.#receiver.wants(text)) this.#receiver.message(message, text);
  }
}

module.exports = { FrameReader };
