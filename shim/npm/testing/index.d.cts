import type { Event, Script, Session, SessionWithEvents } from './api.js';

export type { Event, Script, Session, SessionWithEvents };

/** One transcript of a script: its text, how it is paced, or how it fails. */
export type Transcript = NonNullable<Script['transcript']>[number];

/** What goes wrong, and where. */
export type Fault = NonNullable<Script['fault']>[number];

/** What the mock answers. */
export interface Answers {
  /** The answers, one for each committed item; a string is its text. */
  transcripts?: readonly (string | Transcript)[];
  /** What goes wrong, and where. */
  faults?: readonly Fault[];
}

/** How the mock is started; the options of `rtstt-shim mock`, which `rtstt-shim mock --help` explains. */
export interface MockOptions extends Answers {
  /** Default: `openai`. */
  profile?: 'openai' | 'gateway' | 'azure';
  /** When a transcription session with `model` in its URL is refused. Default: `at-connect`. */
  refuse?: 'at-connect' | 'on-update';
  /** Refuse every session, as for such an account. */
  account?: 'no-credit' | 'quota' | 'spend-limit' | 'no-model';
  /** Delays: none, or as measured on the endpoint. Default: `instant`. */
  latency?: 'instant' | 'capture';
  /** Make identifiers and chance the same in every run. */
  seed?: string | number;
  /** Time moves only in `advance`. */
  virtualTime?: boolean;
  /** Negotiate permessage-deflate. */
  compression?: boolean;
  /** Accept a commit without speech under turn detection. */
  lenientCommit?: boolean;
  /** Origins of web pages that may connect, such as `http://localhost:5173`. */
  allowOrigins?: readonly string[];
}

/** A running mock of OpenAI's Realtime transcription endpoint. */
export interface RealtimeMock extends AsyncDisposable {
  /** The WebSocket address. */
  readonly url: string;
  /** The HTTP address, for clients that take an OpenAI `base_url`. */
  readonly baseUrl: string;
  /** The address of the inspector, a page that shows the sessions. */
  readonly inspector: string;
  /** Returns the sessions: handshake, close, transcripts, explanation. */
  sessions(): Promise<Session[]>;
  /** Returns one session with every event both ways. Sessions are numbered from 1. */
  session(number: number): Promise<SessionWithEvents>;
  /** Throws an error that says what was expected and what happened, unless the script was followed. */
  verify(): Promise<void>;
  /** Returns the outcome of each session, in words. */
  explain(): Promise<string>;
  /** Replaces the script. */
  load(answers: Answers): Promise<void>;
  /** Drops the sessions that ended, and starts the script again. */
  reset(): Promise<void>;
  /** Moves virtual time. */
  advance(seconds: number): Promise<void>;
  /** Ends the mock, if this started it. It ends with the process too, however that ends. */
  stop(): Promise<void>;
}

/**
 * Starts a mock of OpenAI's Realtime transcription endpoint, which is a Python program.
 *
 * The environment variable `RTSTT_MOCK` names a command that starts it, or the ws:// address of a running one.
 * Without it the mock is started with the first of these that is installed: `rtstt-shim` of the Python package, uvx, pipx,
 * docker or podman with an image `rtstt-shim-mock` (`RTSTT_MOCK_IMAGE` names another).
 *
 * @throws an error of one sentence if there is none of them, or the mock does not start
 */
export function startRealtimeMock(options?: MockOptions): Promise<RealtimeMock>;
