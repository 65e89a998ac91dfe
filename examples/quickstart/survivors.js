import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';

const VARIABLE = 'MCP_QUICKSTART_RUN';
const INTERVAL = 50;

/** A variable for the environment of every server. Child processes inherit it, so all processes of a run can be found. */
export function newMarker() {
  const value = randomUUID();
  return { env: { [VARIABLE]: value }, text: `${VARIABLE}=${value}` };
}

/** The living processes with the marker, wherever they are in the process tree. Found without the help of the pool. */
export function findMarked(marker) {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => read(pid, 'environ').split('\0').includes(marker.text))
    .map((pid) => ({ pid: Number(pid), command: read(pid, 'comm').trim() }));
}

/** Returns an empty string when the process is dead, a zombie, or of another user. */
function read(pid, file) {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}

/** Counts the living marked processes every 50 ms, and keeps the highest number. */
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
