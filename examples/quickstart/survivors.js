import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';

const VARIABLE = 'MCP_QUICKSTART_RUN';
const INTERVAL = 50;

/** A variable for the environment of every server. What a server starts inherits it, so all of a run can be found. */
export function newMarker() {
  const value = randomUUID();
  return { env: { [VARIABLE]: value }, text: `${VARIABLE}=${value}` };
}

/** The living processes that carry the marker, wherever they hang in the process tree; the pool is not asked. */
export function findMarked(marker) {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => read(pid, 'environ').split('\0').includes(marker.text))
    .map((pid) => ({ pid: Number(pid), command: read(pid, 'comm').trim() }));
}

/** Empty when the process is dead, a zombie, or another user's. */
function read(pid, file) {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}

/** Looks again and again how many marked processes live, and keeps the highest number. */
export class Watch {
  most = 0;
  #timer;

  constructor(marker) {
    this.#timer = setInterval(() => {
      this.most = Math.max(this.most, findMarked(marker).length);
    }, INTERVAL).unref();
  }

  stop() {
    clearInterval(this.#timer);
  }
}
