import { byId } from './dom.js';

/** Time between two announcements, ms: a screen reader must be able to finish one. */
const PAUSE = 4_000;
const MOST = 3;

const waiting = [];
let timer;

/** Has a screen reader say what matters. When there is too much, it says how much. */
export function announce(text) {
  waiting.push(text);
  if (timer === undefined) speak();
}

function speak() {
  timer = undefined;
  if (waiting.length === 0) return;
  const texts = waiting.splice(0);
  const more = texts.length - MOST;
  byId('announcer').textContent = [...texts.slice(0, MOST), ...(more > 0 ? [`and ${more} more`] : [])].join('. ');
  timer = setTimeout(speak, PAUSE);
}
