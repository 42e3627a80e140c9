// Draws what happened under the waveform: the audio's gaps, the events of either side, the items.

import { duration } from 'inspector/dom';
import { APPEND, shortType } from 'inspector/model';

const FONT = '11px system-ui, sans-serif';
const STRIP = 16; // the height of the line of gaps, and of that of faults and PINGs
const TOP = 2 * STRIP;
const LANE_HEIGHT = 26;
const ITEM_HEIGHT = 20;
const ITEM_ROWS = 3;
const NEAR = 7; // pixels between a click and the event that it means

export const HEIGHT = TOP + 2 * LANE_HEIGHT + ITEM_ROWS * ITEM_HEIGHT + 8;
export const COLOURS = ['fg', 'muted', 'line', 'accent', 'audio', 'speech', 'speech-edge', 'transcript', 'problem', 'other', 'panel', 'item'];

/**
 * Draw the part of a session that is in view.
 * @param {CanvasRenderingContext2D} context scaled to CSS pixels
 * @param {{model: object, left: number, scale: number, width: number, selected: number, colours: object}} view
 *   `left` is the place of the left edge, `scale` pixels a second
 */
export function draw(context, view) {
  const { width, colours } = view;
  context.clearRect(0, 0, width, HEIGHT);
  context.font = FONT;
  context.textBaseline = 'middle';
  drawLines(context, view);
  drawGaps(context, view);
  drawMarks(context, view);
  const rows = placeItems(view);
  drawItems(context, view, rows);
  drawEvents(context, view, 'client', TOP);
  drawEvents(context, view, 'server', TOP + LANE_HEIGHT);
  for (const [text, top] of [['client →', TOP], ['← server', TOP + LANE_HEIGHT]]) {
    context.fillStyle = colours.panel;
    context.globalAlpha = 0.85;
    context.fillRect(0, top + 1, context.measureText(text).width + 10, 13);
    context.globalAlpha = 1;
    context.fillStyle = colours.muted;
    context.fillText(text, 4, top + 8);
  }
}

/** The index of the event that a click means, or null. */
export function eventAt(view, x, y) {
  const sender = y < TOP + LANE_HEIGHT ? 'client' : 'server';
  let best = null;
  let distance = NEAR;
  for (const [index, entry] of view.model.list.entries()) {
    if (entry.sender !== sender) continue;
    const from = (entry.x - view.left) * view.scale;
    const away = Math.abs(from - x);
    if (away <= distance) [best, distance] = [index, away];
  }
  return best;
}

function drawLines(context, { width, colours }) {
  context.strokeStyle = colours.line;
  context.beginPath();
  for (const y of [TOP, TOP + LANE_HEIGHT, TOP + 2 * LANE_HEIGHT]) {
    context.moveTo(0, y + 0.5);
    context.lineTo(width, y + 0.5);
  }
  context.stroke();
}

function drawGaps(context, { model, left, scale, width, colours }) {
  for (const [from, to] of model.gaps()) {
    const a = Math.max(0, (from - left) * scale);
    const b = Math.min(width, (to - left) * scale);
    if (b <= a) continue;
    context.strokeStyle = colours.muted;
    context.setLineDash([2, 3]);
    context.beginPath();
    context.moveTo(a, STRIP / 2);
    context.lineTo(b, STRIP / 2);
    context.stroke();
    context.setLineDash([]);
    const text = `no audio for ${duration(to - from)}`;
    const size = context.measureText(text).width;
    if (b - a < size + 8) continue;
    context.fillStyle = colours.panel;
    context.fillRect((a + b - size) / 2 - 4, 0, size + 8, STRIP);
    context.fillStyle = colours.muted;
    context.fillText(text, (a + b - size) / 2, STRIP / 2);
  }
}

/** Faults are red lines with their names; a PING is a dot, red where it was not answered. */
function drawMarks(context, { model, left, scale, width, colours }) {
  const taken = [];
  const label = (text, at, colour) => {
    const size = context.measureText(text).width;
    const from = at + 6 + size > width ? at - 6 - size : at + 6;
    if (taken.some(([start, end]) => from < end && from + size > start)) return;
    taken.push([from - 6, from + size + 6]);
    context.fillStyle = colour;
    context.fillText(text, from, STRIP * 1.5);
  };
  const inView = (x) => (x - left) * scale >= -1 && (x - left) * scale <= width;
  for (const [x, action, event] of model.view.faults.filter(([x]) => inView(x))) {
    const at = Math.round((x - left) * scale);
    context.fillStyle = colours.problem;
    context.fillRect(at - 1, STRIP, 2, STRIP + 2 * LANE_HEIGHT);
    label(`fault: ${action} at ${shortType(event)}`, at, colours.problem);
  }
  for (const [x, answered] of model.view.pings.filter(([x]) => inView(x))) {
    const at = (x - left) * scale;
    const colour = answered === null ? colours.problem : colours.muted;
    context.fillStyle = colour;
    context.beginPath();
    context.arc(at, STRIP * 1.5, 3, 0, 2 * Math.PI);
    context.fill();
    label(answered === null ? 'PING without PONG' : `PING, PONG after ${duration(answered)}`, at, colour);
  }
}

function drawEvents(context, { model, left, scale, width, selected, colours }, sender, top) {
  const right = left + width / scale;
  let free = -Infinity; // where the last label ends
  let column = -1;
  let columnKind = '';
  const visible = [];
  for (const [index, entry] of model.list.entries()) {
    if (entry.sender !== sender) continue;
    const end = entry.type === APPEND ? entry.x + entry.width : entry.x;
    if (end < left || entry.x > right) continue;
    visible.push([index, entry]);
  }
  for (let at = 0; at < visible.length; at += 1) {
    const [index, entry] = visible[at];
    const x = Math.round((entry.x - left) * scale);
    const marked = index === selected;
    if (entry.kind === 'audio') {
      context.fillStyle = colours.audio;
      context.fillRect(x, top + LANE_HEIGHT - 5, Math.max(2, entry.width * scale), 4);
    }
    if (x === column && entry.kind === columnKind && !marked) continue; // one line a pixel
    [column, columnKind] = [x, entry.kind];
    context.fillStyle = colours[entry.kind === 'speech' ? 'speech-edge' : entry.kind];
    context.globalAlpha = entry.dropped ? 0.45 : 1;
    const high = entry.kind === 'problem' || entry.type.endsWith('completed') ? LANE_HEIGHT - 6 : LANE_HEIGHT - 12;
    context.fillRect(x - 1, top + LANE_HEIGHT - 2 - high, entry.kind === 'problem' ? 3 : 2, high);
    context.globalAlpha = 1;
    const text = shortType(entry.type) + (entry.count > 1 ? ` × ${entry.count}` : '');
    const size = context.measureText(text).width;
    const next = visible[at + 1] ? (visible[at + 1][1].x - left) * scale : Infinity;
    if (x + 5 > free && next - x > size + 10 && x > 52) {
      context.fillStyle = entry.kind === 'problem' ? colours.problem : colours.fg;
      context.fillText(text, x + 5, top + LANE_HEIGHT / 2 + 2);
      free = x + 5 + size;
    }
    if (marked) {
      context.strokeStyle = colours.accent;
      context.lineWidth = 2;
      context.strokeRect(x - 4, top + 3, 8, LANE_HEIGHT - 5);
      context.lineWidth = 1;
    }
  }
}

/** Put every item in view into the first row that is free. */
function placeItems({ model, left, scale, width }) {
  const right = left + width / scale;
  const ends = Array(ITEM_ROWS).fill(-Infinity);
  const rows = [];
  for (const item of model.items) {
    const [from, to] = model.span(item);
    if (to < left || from > right) continue;
    const a = (from - left) * scale;
    const b = Math.max((to - left) * scale, a + 4);
    const free = ends.findIndex((end) => end <= a);
    const row = free === -1 ? ITEM_ROWS - 1 : free;
    ends[row] = b + 1;
    rows.push({ item, a, b, row });
  }
  return rows;
}

function drawItems(context, { model, left, scale, width, colours }, rows) {
  const base = TOP + 2 * LANE_HEIGHT + 6;
  for (const { item, a, b, row } of rows) {
    const top = base + row * ITEM_HEIGHT;
    const done = item.done !== undefined;
    context.strokeStyle = item.failed ? colours.problem : colours.transcript;
    context.beginPath();
    for (const index of [item.started, item.committed, item.done]) {
      if (index === undefined) continue;
      const x = Math.round((model.list[index].x - left) * scale) + 0.5;
      context.moveTo(x, TOP + 2 * LANE_HEIGHT);
      context.lineTo(x, top + (index === item.started || index === item.done ? ITEM_HEIGHT - 4 : 2));
    }
    context.stroke();
    context.fillStyle = item.failed ? colours.problem : colours.item;
    context.globalAlpha = done ? 1 : 0.55;
    context.beginPath();
    context.roundRect(a, top, b - a, ITEM_HEIGHT - 4, 4);
    context.fill();
    context.globalAlpha = 1;
    context.stroke();
    label(context, itemLabel(model, item), Math.max(a, 0) + 5, Math.min(b, width) - 5, top + (ITEM_HEIGHT - 4) / 2, item.failed ? colours.panel : colours.fg);
  }
}

function itemLabel(model, item) {
  const parts = [];
  if (item.text) parts.push(item.text);
  else if (item.done === undefined) parts.push(item.committed === undefined ? 'speech, not committed' : 'no transcript yet');
  if (item.done !== undefined && item.committed !== undefined) {
    const late = model.list[item.done].at - model.list[item.committed].at;
    parts.push(`(${duration(late)} after the commit)`);
  }
  return parts.join(' ');
}

function label(context, text, from, to, y, colour) {
  if (to - from < 24) return;
  context.save();
  context.beginPath();
  context.rect(from, y - 10, to - from, 20);
  context.clip();
  context.fillStyle = colour;
  context.fillText(text, from, y);
  context.restore();
}
