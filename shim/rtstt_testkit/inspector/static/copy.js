// An event as a part of a script, or as an assertion of a pytest test.

const TRANSCRIPTION = 'conversation.item.input_audio_transcription.';

/** A string as TOML and Python both take it. */
function quoted(text) {
  return JSON.stringify(String(text).toWellFormed()).replaceAll('\x7f', '\\u007f');
}

/** The entry of a TOML script (`--script`) that makes the mock send this event again, or meddle with it. */
export function scriptLine(model, index) {
  const { type, event } = model.list[index];
  if (type === `${TRANSCRIPTION}completed`) return `[[transcript]]\ntext = ${quoted(event.transcript)}\n`;
  if (type === `${TRANSCRIPTION}failed`) {
    const fields = ['message', 'code']
      .filter((name) => typeof event.error?.[name] === 'string')
      .map((name) => `${name} = ${quoted(event.error[name])}`);
    return `[[transcript]]\nfailure = { ${fields.join(', ')} }\n`;
  }
  if (type === 'error') {
    const before = model.list.slice(0, index).findLast((entry) => entry.sender === 'server' && entry.type !== 'error');
    const code = event.error?.code;
    return [
      '[[fault]]',
      'action = "error"',
      `after = ${quoted(before?.type ?? 'session.created')}`,
      ...(typeof code === 'string' ? [`code = ${quoted(code)}`] : []),
      `message = ${quoted(event.error?.message ?? '')}`,
      '',
    ].join('\n');
  }
  return `[[fault]]\naction = "delay"\nbefore = ${quoted(type)}\nnth = ${nth(model, index)}\nseconds = 1.0\n`;
}

/** Whether there is a `scriptLine`: scripts are about what the mock sends. */
export function hasScriptLine({ sender }) {
  return sender === 'server';
}

/** An assertion that holds for this session, for a test that uses the fixture realtime_server. */
export function assertion(model, index) {
  const { type, event, sender } = model.list[index];
  const session = `realtime_server.sessions[${model.number - 1}]`;
  if (type === `${TRANSCRIPTION}completed`) {
    return `assert ${session}.transcripts[${nth(model, index) - 1}] == ${quoted(event.transcript)}\n`;
  }
  if (type === 'error' && sender === 'server') {
    const codes = `[event["error"]["code"] for event in ${session}.sent if event["type"] == "error"]`;
    return `assert ${event.error?.code == null ? 'None' : quoted(event.error.code)} in ${codes}\n`;
  }
  const events = sender === 'server' ? 'sent' : 'received';
  return `assert any(event["type"] == ${quoted(type)} for event in ${session}.${events})\n`;
}

/** How many events of this type and side there are up to this one. */
function nth(model, index) {
  const { type, sender } = model.list[index];
  let count = 0;
  for (let at = 0; at <= index; at += 1) {
    const entry = model.list[at];
    if (entry.type === type && entry.sender === sender && !entry.dropped) count += 1;
  }
  return count;
}
