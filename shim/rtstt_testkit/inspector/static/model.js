// One session: its events, what belongs together among them, and where things stand on the time axis.

const TRANSCRIPTION = 'conversation.item.input_audio_transcription.';
export const APPEND = 'input_audio_buffer.append';

export class Model {
  /** @param {object} view as the server sends it */
  constructor(view) {
    this.view = view;
    this.list = view.list;
    this.peaks = new Uint8Array();
    this.derive();
  }

  get number() {
    return this.view.number;
  }

  /** The index from which on the server is asked for events: the last run of appends may have grown. */
  get next() {
    return Math.max(0, this.list.length - 1);
  }

  /** Take what is new. */
  update(view) {
    this.list.length = Math.min(this.list.length, view.first);
    for (const event of view.list) this.list.push(event);
    this.view = { ...view, list: this.list };
    this.derive();
  }

  addPeaks(more) {
    if (!more.length) return;
    const all = new Uint8Array(this.peaks.length + more.length);
    all.set(this.peaks);
    all.set(more, this.peaks.length);
    this.peaks = all;
  }

  /** The last place that something stands at. */
  get last() {
    const piece = this.view.pieces.at(-1);
    return Math.max(this.view.end, piece ? piece[0] + piece[3] : 0);
  }

  /** The end of the axis, with a margin in which the last event can be seen. */
  get end() {
    return Math.max(0.5, this.last + Math.min(0.5, this.last / 100));
  }

  derive() {
    const items = new Map();
    const item = (id) => {
      if (!items.has(id)) items.set(id, { id, text: '' });
      return items.get(id);
    };
    this.commits = [];
    this.problems = 0;
    for (const [index, entry] of this.list.entries()) {
      entry.kind = kindOf(entry);
      if (entry.kind === 'problem') this.problems += 1;
      const { event } = entry;
      const id = event.item_id;
      if (typeof id !== 'string' || entry.sender !== 'server') continue;
      switch (entry.type) {
        case 'input_audio_buffer.speech_started':
          Object.assign(item(id), { started: index, start: event.audio_start_ms / 1000 });
          break;
        case 'input_audio_buffer.speech_stopped':
          Object.assign(item(id), { stopped: index, stop: event.audio_end_ms / 1000 });
          break;
        case 'input_audio_buffer.timeout_triggered':
          Object.assign(item(id), { start: event.audio_start_ms / 1000, stop: event.audio_end_ms / 1000 });
          break;
        case 'input_audio_buffer.committed':
          item(id).committed = index;
          this.commits.push(index);
          break;
        case `${TRANSCRIPTION}delta`:
          item(id).first ??= index;
          item(id).text += event.delta ?? '';
          break;
        case `${TRANSCRIPTION}completed`:
          Object.assign(item(id), { done: index, text: event.transcript ?? '' });
          break;
        case `${TRANSCRIPTION}failed`:
          Object.assign(item(id), { done: index, failed: true, text: event.error?.message ?? 'failed' });
          break;
      }
    }
    this.items = [...items.values()].filter((one) => one.started !== undefined || one.committed !== undefined);
  }

  /** Where an item begins and ends on the axis. */
  span(item) {
    const begin = item.start !== undefined ? this.xOfAudio(item.start) : this.list[item.committed].x;
    const last = item.done ?? item.committed ?? item.stopped;
    const end = last !== undefined ? this.list[last].x : this.end;
    return [Math.min(begin, end), end];
  }

  /** The place of a time in the audio. */
  xOfAudio(seconds) {
    const { pieces } = this.view;
    const piece = pieces[lastBefore(pieces, seconds, 1)];
    if (!piece) return seconds;
    const [x, start, length, width] = piece;
    return x + (Math.min(Math.max(seconds - start, 0), length) * width) / length;
  }

  /** The time in the audio at a place; between two pieces, where the later begins. */
  audioOfX(x) {
    const { pieces } = this.view;
    const at = lastBefore(pieces, x, 0);
    const piece = pieces[at];
    if (!piece) return 0;
    const [begin, start, length, width] = piece;
    if (x <= begin + width) return start + (Math.max(0, x - begin) * length) / width;
    return pieces[at + 1] ? pieces[at + 1][1] : start + length;
  }

  /** The waveform on the axis, between 0 and 1. */
  waveform() {
    const rate = this.view.peak_rate;
    const wave = new Float32Array(Math.max(1, Math.ceil(this.end * rate)));
    for (const [x, start, length, width] of this.view.pieces) {
      const from = Math.round(start * rate);
      const to = Math.round(x * rate);
      const count = Math.min(Math.round(width * rate), wave.length - to);
      for (let index = 0; index < count; index += 1) {
        wave[to + index] = LEVEL[this.peaks[from + Math.floor((index * length) / width)] ?? 0];
      }
    }
    return wave;
  }

  /** Times without audio while the session was open, longer than a second. */
  gaps() {
    const found = [];
    let end = null;
    for (const [x, , , width] of this.view.pieces) {
      if (end !== null && x - end > 1) found.push([end, x]);
      end = x + width;
    }
    if (end !== null && this.last - end > 1) found.push([end, this.last]);
    return found;
  }
}

const LEVEL = Float32Array.from({ length: 256 }, (_, byte) => (byte / 255) ** 2);

/** The index of the last piece that begins at or before a value; -1 when there is none... or the first. */
function lastBefore(pieces, value, field) {
  let low = 0;
  let high = pieces.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (pieces[middle][field] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** What an event is about, for its colour. */
export function kindOf({ type, dropped }) {
  if (type === 'error' || type.endsWith('.failed') || type === '(binary)' || type === '(no event)') return 'problem';
  if (dropped) return 'problem';
  if (type === APPEND) return 'audio';
  if (type.startsWith(TRANSCRIPTION)) return 'transcript';
  if (type.startsWith('input_audio_buffer.')) return 'speech';
  return 'other';
}

/** The part of a type that tells it from others. */
export function shortType(type) {
  if (type.startsWith(TRANSCRIPTION)) return type.slice(TRANSCRIPTION.length);
  return type.replace(/^input_audio_buffer\.|^conversation\.item\./, '');
}

/** An event in a few words. */
export function brief(entry) {
  const { event, type, count } = entry;
  if (type === APPEND && event.audio_bytes !== undefined) {
    return `${count > 1 ? `${count} appends, ` : ''}${event.audio_bytes.toLocaleString('en')} bytes`;
  }
  const parts = [];
  if (entry.dropped) parts.push(`not sent: ${entry.dropped}`);
  if (event.error) parts.push(`${event.error.code ?? event.error.type ?? ''}: ${event.error.message ?? ''}`);
  if (event.transcript !== undefined) parts.push(`“${event.transcript}”`);
  if (event.delta !== undefined) parts.push(`“${event.delta}”`);
  if (event.audio_start_ms !== undefined) parts.push(`from ${event.audio_start_ms} ms`);
  if (event.audio_end_ms !== undefined) parts.push(`to ${event.audio_end_ms} ms`);
  const transcription = event.session?.audio?.input?.transcription;
  if (transcription?.model) parts.push(transcription.model);
  const rate = event.session?.audio?.input?.format?.rate;
  if (rate && rate !== 24000) parts.push(`${rate} Hz`);
  const detection = event.session?.audio?.input?.turn_detection;
  if (detection !== undefined && event.session) parts.push(detection === null ? 'no turn detection' : detection.type);
  if (event.text !== undefined) parts.push(event.text);
  if (event.bytes !== undefined) parts.push(`${event.bytes.toLocaleString('en')} bytes`);
  return parts.join(' · ');
}
