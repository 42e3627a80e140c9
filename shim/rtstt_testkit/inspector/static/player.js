// Plays a session's audio, clip after clip, and reports where it is.

export class Player {
  /**
   * @param {(seconds: number) => void} onTime the time in the session's audio, while it plays
   * @param {(playing: boolean) => void} onState
   */
  constructor(onTime, onState) {
    this.onTime = onTime;
    this.onState = onState;
    this.audio = new Audio();
    this.audio.preload = 'auto';
    this.begins = 0;
    this.playing = false;
    this.audio.addEventListener('ended', () => this.#ended());
    this.audio.addEventListener('error', () => this.stop());
  }

  /** The time in the session's audio. */
  get time() {
    return this.begins + this.audio.currentTime;
  }

  /**
   * Play from a time on.
   * @param {(from: number) => ({url: string, begins: number} | null)} clip gives the audio from a time on
   * @param {number} from seconds
   * @param {number} end seconds, where the audio ends
   */
  async play(clip, from, end) {
    const found = clip(from);
    if (!found) return;
    this.clip = clip;
    this.end = end;
    this.begins = found.begins;
    const address = new URL(found.url, document.baseURI).href;
    if (this.audio.src !== address) this.audio.src = address;
    this.audio.currentTime = Math.max(0, from - found.begins);
    this.#set(true);
    try {
      await this.audio.play();
    } catch {
      this.stop(); // interrupted by another play, or nothing to play
      return;
    }
    this.#tick();
  }

  stop() {
    this.audio.pause();
    this.#set(false);
  }

  #tick() {
    if (!this.playing) return;
    this.onTime(this.time);
    requestAnimationFrame(() => this.#tick());
  }

  #ended() {
    const at = this.time;
    if (this.playing && at < this.end - 0.05 && this.audio.currentTime > 0) this.play(this.clip, at, this.end);
    else this.stop();
  }

  #set(playing) {
    if (this.playing === playing) return;
    this.playing = playing;
    this.onState(playing);
  }
}
