/** The recording of APP_WAV (16-bit mono PCM at 24 kHz) between silences, in pieces of 50 ms. */
import { readFileSync } from 'node:fs';

const SECOND = 48_000;

export function* pieces() {
  const file = readFileSync(process.env.APP_WAV);
  const start = file.indexOf('data') + 8;
  const speech = file.subarray(start, start + file.readUInt32LE(start - 4));
  const audio = Buffer.concat([Buffer.alloc(SECOND / 5), speech, Buffer.alloc(SECOND * 1.5)]);
  for (let at = 0; at < audio.length; at += SECOND / 20) yield audio.subarray(at, at + SECOND / 20);
}
