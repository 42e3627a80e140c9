// Where the data comes from: a running mock, or the document itself.

const TOKEN = new URLSearchParams(globalThis.location?.search ?? '').get('token');

function url(path, query = {}) {
  const all = new URLSearchParams(TOKEN === null ? query : { ...query, token: TOKEN });
  const text = all.toString();
  return text ? `${path}?${text}` : path;
}

/** What is read from the answer, or null where the session or the mock is gone. */
async function ask(address, read) {
  try {
    const response = await fetch(address);
    return response.ok ? await read(response) : null;
  } catch {
    return null; // the mock may also end in the middle of an answer
  }
}

/** A running mock, followed through server-sent events. */
export class LiveSource {
  live = true;

  /** @param {(sessions: object[], gone: number[]) => void} onSessions @param {(connected: boolean) => void} onState */
  start(onSessions, onState) {
    const events = new EventSource(url('events'));
    // After an interruption the mock sends every session again, so what is not among them is gone.
    let first = false;
    events.addEventListener('open', () => {
      first = true;
      onState(true);
    });
    events.addEventListener('error', () => onState(false));
    events.addEventListener('sessions', (message) => {
      const { sessions, gone } = JSON.parse(message.data);
      onSessions(sessions, gone, first);
      first = false;
    });
    addEventListener('pagehide', () => events.close());
  }

  async view(number, after) {
    return ask(url(`sessions/${number}/view`, { after }), (response) => response.json());
  }

  async peaks(number, after) {
    const found = await ask(url(`sessions/${number}/peaks`, { after }), (response) => response.arrayBuffer());
    return new Uint8Array(found ?? 0);
  }

  /** Audio from a time on. @returns {{url: string, begins: number} | null} */
  clip(number, from) {
    return { url: url(`sessions/${number}/clip.wav`, { from: from.toFixed(3) }), begins: from };
  }

  links(number) {
    return [
      ['Report', url(`sessions/${number}/report.html`), 'One HTML file with everything inside; opens from disk'],
      ['HAR', url(`sessions/${number}/har`), 'For Chrome, HTTP Toolkit and others'],
      ['JSON lines', url(`sessions/${number}/jsonl`), 'One event per line'],
      ['WAV', url(`sessions/${number}/audio.wav`), 'The audio received'],
    ];
  }
}

/** A report: the sessions stand in the document. */
export class EmbeddedSource {
  live = false;

  constructor(data) {
    this.title = data.title;
    this.sessions = new Map(data.sessions.map((session) => [session.number, session]));
    this.audio = new Map();
  }

  start(onSessions) {
    onSessions([...this.sessions.values()], [], true);
  }

  async view(number) {
    return this.sessions.get(number) ?? null;
  }

  async peaks(number, after) {
    return bytes(this.sessions.get(number).peaks).subarray(after);
  }

  clip(number) {
    const { wav } = this.sessions.get(number);
    if (wav === null) return null;
    if (!this.audio.has(number)) {
      this.audio.set(number, URL.createObjectURL(new Blob([bytes(wav)], { type: 'audio/wav' })));
    }
    return { url: this.audio.get(number), begins: this.sessions.get(number).audio_from };
  }

  links() {
    return [];
  }
}

function bytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}
