/** The decision about the URL of a realtime socket. */
export interface Decision {
  /** The URL to connect to. */
  url: string;
  /** Whether `url` differs from what was given. */
  changed: boolean;
  rule: 'drop-model' | 'set-intent' | 'keep';
  /** One clause that gives the reason. */
  reason: string;
  /** What a connection to `url` opens, as far as the URL tells. */
  session: 'transcription' | 'conversation' | 'none';
  /** Whether `url` is a realtime URL of OpenAI's own hosts, or of one that `RTSTT_SHIM_HOSTS` names. */
  native: boolean;
}

/**
 * Decides how to change a realtime URL so that OpenAI's endpoint accepts the transcription session.
 *
 * @param url any string; one that is not the URL of a realtime socket is kept
 */
export function fixUrl(url: string): Decision;
