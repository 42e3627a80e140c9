/**
 * The file that a trace is written to, which several processes and threads may share: the twin of `trace/file.py`.
 *
 * Each line is one JSON object, written with one `write` to a file that is open for appending.
 */
'use strict';

const { randomBytes } = require('node:crypto');
const { constants, closeSync, fstatSync, openSync, writeSync } = require('node:fs');
const { warn } = require('./log.cjs');
const { redact } = require('./redact.cjs');

const FORMAT = 'rtstt-trace';
const VERSION = 1;
// The maximum size of a file, in bytes; a process that reaches it writes one last line and stops.
const MAX_FILE = 268_435_456;
const MAX_LINE = 25_165_824;
const AUDIO = ',audio';

class TraceFile {
  #file;
  #path;
  #process = `${process.pid}-${randomBytes(3).toString('hex')}`;
  #sessions = 0;

  /** Whether sessions keep the audio in their events. */
  keepAudio;

  /** Whether lines are still written. */
  writable = true;

  /**
   * @param {string} path the file; it is created so that its owner alone can read it
   * @param {boolean} keepAudio
   * @throws {Error} if it cannot be opened or is not a regular file
   */
  constructor(path, keepAudio) {
    // Opening a pipe without a reader would wait for one.
    const { O_APPEND, O_CREAT, O_NONBLOCK = 0, O_WRONLY } = constants;
    this.#path = path;
    this.keepAudio = keepAudio;
    this.#file = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o600);
    const status = fstatSync(this.#file);
    if (!status.isFile()) {
      closeSync(this.#file);
      throw new Error('it is not a regular file');
    }
    const header = encode({
      format: FORMAT,
      version: VERSION,
      process: this.#process,
      time: Date.now() / 1000,
      source: 'shim',
      runtime: 'node',
      audio: keepAudio,
    });
    // A process that was killed may have left half a line behind.
    this.#write(status.size > 0 ? Buffer.concat([Buffer.from('\n'), header]) : header);
  }

  /** Returns the number of a new session of this process. */
  newSession() {
    this.#sessions += 1;
    return this.#sessions;
  }

  /**
   * Appends a line; it never throws.
   *
   * @param {object} line what JSON can hold, without secrets
   */
  write(line) {
    if (!this.writable) return;
    try {
      this.#write(encode({ process: this.#process, ...line }));
    } catch (error) {
      this.stop(error);
    }
  }

  /**
   * Writes nothing more, and prints the reason once.
   *
   * @param {unknown} error the reason
   */
  stop(error) {
    if (!this.writable) return;
    this.writable = false;
    warn(`rtstt_shim: ${redact(`the trace ${this.#path} ends here; the application is unaffected: ${error}`)}`);
  }

  /** @param {Buffer} data */
  #write(data) {
    if (data.length > MAX_LINE) throw new Error(`a line of ${data.length} bytes is too long`);
    // The size of the file, because other processes append to it as well.
    if (fstatSync(this.#file).size + data.length <= MAX_FILE) {
      writeSync(this.#file, data);
      return;
    }
    this.writable = false;
    writeSync(this.#file, encode({ process: this.#process, full: MAX_FILE }));
    const reached = `the trace ${this.#path} has reached ${MAX_FILE / 1024 / 1024} MiB`;
    warn(`rtstt_shim: ${redact(`${reached}; nothing more is written to it`)}`);
  }
}

/** @param {object} line */
const encode = (line) => Buffer.from(`${JSON.stringify(line)}\n`);

/** @type {Map<string, TraceFile | undefined>} */
const files = new Map();

/**
 * Returns the file that a setting names, opened once; nothing if it cannot be opened, which is printed once.
 *
 * @param {string} setting the value of RTSTT_SHIM_TRACE: a path, followed by `,audio` to keep the audio
 * @returns {TraceFile | undefined}
 */
function traceFile(setting) {
  if (!files.has(setting)) {
    const path = setting.endsWith(AUDIO) ? setting.slice(0, -AUDIO.length) : setting;
    files.set(setting, undefined);
    try {
      files.set(setting, new TraceFile(path, path !== setting));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      warn(`rtstt_shim: ${redact(`RTSTT_SHIM_TRACE names '${path}', which cannot be written: ${reason}`)}`);
    }
  }
  return files.get(setting);
}

module.exports = { TraceFile, traceFile };
