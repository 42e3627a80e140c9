/**
 * The server's side of a WebSocket connection, read from its bytes (RFC 6455), permessage-deflate (RFC 7692) included.
 *
 * No I/O. What a message of interest cannot be (binary, or longer than any error event, or without the word that is
 * looked for) is passed over without being kept, so that a connection costs at most a few of the limits below, and a
 * message little more than the reading of its header.
 */
'use strict';

const { constants, inflateRawSync } = require('node:zlib');

const CONTINUATION = 0x0;
const TEXT = 0x1;
const CLOSE = 0x8;
// A text message in one frame, not compressed.
const WHOLE_TEXT = 0x80 | TEXT;

// An error event is a few hundred bytes. A longer compressed message has to be read all the same where later ones refer
// back to it.
const MESSAGE_LIMIT = 65_536;
const COMPRESSED_LIMIT = 1_048_576;
const WINDOW = 32_768;
// What the sender took off the end of each compressed message (RFC 7692 section 7.2.1).
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);

/**
 * @typedef {object} Receiver
 * @property {(data: Buffer) => void} message one whole text message that holds the word
 * @property {(code: number, reason: string) => void} closed the server's CLOSE frame; 1005 when it names no code
 */

/** Inflates the messages of one connection, each of which may refer back to those before it. */
class Inflater {
  /** @type {Buffer | undefined} */
  #window;
  #keepsWindow;

  /** @param {boolean} keepsWindow whether messages refer back, unless `server_no_context_takeover` was agreed on */
  constructor(keepsWindow) {
    this.#keepsWindow = keepsWindow;
  }

  /** @param {Buffer} data */
  inflate(data) {
    const whole = inflateRawSync(Buffer.concat([data, TAIL]), {
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: COMPRESSED_LIMIT,
      ...(this.#window && { dictionary: this.#window }),
    });
    if (this.#keepsWindow && whole.length) {
      const seen = this.#window ? Buffer.concat([this.#window, whole]) : whole;
      // A copy: a view would keep the whole message alive.
      this.#window = Buffer.from(seen.subarray(-WINDOW));
    }
    return whole;
  }
}

// How most messages begin; never of interest, whatever comes after it.
const DELTA = Buffer.from('{"type":"conversation.item.input_audio_transcription.delta"');
// Eight bytes at a time are compared, as doubles: those of ASCII are equal only where the bytes are. No other type of
// event both begins and ends like this one, at this length.
const LAST = DELTA.length - 8;
const [BEGINS, GOES_ON, ENDS] = [0, 8, LAST].map((place) => DELTA.readDoubleLE(place));

/**
 * Passes over deltas, each of them a whole text message that is not compressed.
 *
 * @param {Buffer} data
 * @param {number} at where a frame begins
 * @returns {number} where the first frame begins that is something else, or not yet known; behind the data's end where a
 *   delta is not complete
 */
function pastDeltas(data, at) {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const last = data.length - 4 - DELTA.length;
  while (at <= last && data[at] === WHOLE_TEXT) {
    const length = data[at + 1];
    const start = length < 126 ? at + 2 : at + 4;
    const end = length < 126 ? start + length : start + view.getUint16(at + 2);
    if (length > 126 || end - start < DELTA.length) break;
    if (view.getFloat64(start, true) !== BEGINS || view.getFloat64(start + 8, true) !== GOES_ON) break;
    if (view.getFloat64(start + LAST, true) !== ENDS) break;
    at = end;
  }
  return at;
}

class FrameReader {
  #receiver;
  /** @type {Inflater | undefined} */
  #inflater;
  /** @type {Buffer[]} */
  #chunks = [];
  #size = 0;
  #needed = 2;
  #skip = 0;
  #over = false;
  /** @type {Buffer[] | undefined} the frames of the text message that is coming in; undefined while none of interest is */
  #fragments;
  #fragmentsSize = 0;
  #compressed = false;
  #word;
  /** Where the word stands next in the data at hand; -1 for nowhere. */
  #found = -1;

  /**
   * @param {Receiver} receiver
   * @param {string} word what a message of interest holds
   * @param {string} [extensions] the response's Sec-WebSocket-Extensions
   */
  constructor(receiver, word, extensions = '') {
    this.#receiver = receiver;
    this.#word = Buffer.from(word);
    if (/permessage-deflate/i.test(extensions)) {
      this.#inflater = new Inflater(!/server_no_context_takeover/i.test(extensions));
    }
  }

  /**
   * Takes bytes as they come, cut anywhere.
   *
   * @param {Buffer} data
   */
  feed(data) {
    if (this.#over) return;
    let at = this.#skip;
    if (at < data.length && this.#size > 0) at = this.#complete(data, at);
    if (at < data.length && !this.#over) at = this.#frames(data, at);
    this.#skip = Math.max(0, at - data.length);
  }

  /**
   * Puts a frame together that was cut: that one alone, since to join all that came would be to copy it.
   *
   * @param {Buffer} data
   * @param {number} at where it goes on
   * @returns {number} where the next frame begins; the data's end where this one is still not complete
   */
  #complete(data, at) {
    for (let length = 0; length === 0 && !this.#over; ) {
      const piece = data.subarray(at, at + this.#needed - this.#size);
      this.#keep(piece);
      at += piece.length;
      if (this.#size < this.#needed) return at;
      const joined = Buffer.concat(this.#chunks);
      this.#found = joined.indexOf(this.#word);
      length = this.#frame(joined, 0);
      if (length > 0) at += length - joined.length;
    }
    this.#chunks = [];
    this.#size = 0;
    return at;
  }

  /**
   * Reads all the frames there are, and keeps the beginning of one that is not complete.
   *
   * @param {Buffer} data
   * @param {number} at where the first begins
   * @returns {number} where the next begins, which may be behind the data's end
   */
  #frames(data, at) {
    const first = at;
    at = pastDeltas(data, at);
    if (at > first) this.#fragments = undefined;
    if (at < data.length) this.#found = data.indexOf(this.#word, at);
    while (at < data.length && !this.#over) {
      const length = this.#frame(data, at);
      if (length === 0) {
        // A copy: a view would keep all of the data alive.
        this.#keep(Buffer.from(data.subarray(at)));
        return data.length;
      }
      at = pastDeltas(data, at + length);
    }
    return at;
  }

  /** @param {Buffer} piece of a frame that is not complete */
  #keep(piece) {
    this.#chunks.push(piece);
    this.#size += piece.length;
  }

  /**
   * Reads the frame that begins at a place of the data.
   *
   * @param {Buffer} data
   * @param {number} at
   * @returns {number} its length, which may be more than there is for one that is passed over; 0 when more is needed
   */
  #frame(data, at) {
    this.#needed = 2;
    if (data.length - at < 2) return 0;
    const first = data[at];
    let length = data[at + 1];
    let head = 2;
    if (length >= 126) {
      if (length & 0x80) {
        // A server never masks: this is no WebSocket.
        this.#over = true;
        return 0;
      }
      head = length === 126 ? 4 : 10;
      this.#needed = head;
      if (data.length - at < head) return 0;
      length = head === 4 ? data.readUInt16BE(at + 2) : Number(data.readBigUInt64BE(at + 2));
    }
    const whole = head + length;
    const opcode = first & 0x0f;
    if (!this.#wants(opcode, (first & 0x40) !== 0, length)) return whole;
    this.#needed = whole;
    const start = at + head;
    const end = at + whole;
    if (data.length < end) return 0;
    this.#needed = 2;
    if (opcode === CLOSE) {
      this.#over = true;
      if (length < 2) this.#receiver.closed(1005, '');
      else this.#receiver.closed(data.readUInt16BE(start), data.toString('utf8', start + 2, end));
    } else if (first === WHOLE_TEXT && !this.#holds(data, start, end)) {
      this.#fragments = undefined;
    } else {
      this.#take(data.subarray(start, end), (first & 0x80) !== 0);
    }
    return whole;
  }

  /**
   * Whether the word stands in this part of the data.
   *
   * @param {Buffer} data
   * @param {number} start
   * @param {number} end
   */
  #holds(data, start, end) {
    if (this.#found >= 0 && this.#found < start) this.#found = data.indexOf(this.#word, start);
    return this.#found >= 0 && this.#found + this.#word.length <= end;
  }

  /**
   * Whether a frame's payload has to be kept; called again when more of the frame has come.
   *
   * @param {number} opcode
   * @param {boolean} compressed
   * @param {number} length
   */
  #wants(opcode, compressed, length) {
    if (opcode === CLOSE) return true;
    if (opcode === TEXT || (opcode === 0x2 && compressed && this.#inflater)) {
      this.#compressed = compressed;
      this.#fragments = compressed && !this.#inflater ? undefined : [];
      this.#fragmentsSize = 0;
    } else if (opcode === 0x2) {
      this.#fragments = undefined;
    } else if (opcode !== CONTINUATION) {
      return false;
    }
    if (this.#fragments && this.#fragmentsSize + length > (this.#compressed ? COMPRESSED_LIMIT : MESSAGE_LIMIT)) {
      this.#fragments = undefined;
      // Later messages refer back to this one and cannot be read without it.
      if (this.#compressed) this.#inflater = undefined;
    }
    return this.#fragments !== undefined;
  }

  /**
   * @param {Buffer} payload
   * @param {boolean} fin whether it ends its message
   */
  #take(payload, fin) {
    const fragments = /** @type {Buffer[]} */ (this.#fragments);
    // A copy of what has to wait: a view would keep its whole chunk alive.
    fragments.push(fin ? payload : Buffer.from(payload));
    this.#fragmentsSize += payload.length;
    if (!fin) return;
    this.#fragments = undefined;
    const whole = fragments.length === 1 ? payload : Buffer.concat(fragments);
    if (!this.#compressed) {
      this.#tell(whole);
    } else if (this.#inflater) {
      let inflated;
      try {
        inflated = this.#inflater.inflate(whole);
      } catch {
        // Too long or broken: the client will say so itself, and only the close frame is left to be read.
        this.#inflater = undefined;
        return;
      }
      this.#tell(inflated);
    }
  }

  /** @param {Buffer} message */
  #tell(message) {
    if (message.includes(this.#word)) this.#receiver.message(message);
  }
}

module.exports = { FrameReader };
