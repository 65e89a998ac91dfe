const BAR = 14;
const INTERVAL = 100;

/** Shows the progress: on a terminal in one line that is rewritten, in a file or a pipe in one line per wave. */
export class Progress {
  #pool;
  #tally;
  #total;
  #started = performance.now();
  #waves = 0;
  #shown = 0;
  #timer;

  constructor(pool, tally, total) {
    this.#pool = pool;
    this.#tally = tally;
    this.#total = total;
    if (process.stdout.isTTY) this.#timer = setInterval(() => this.#rewrite(), INTERVAL).unref();
  }

  waveDone() {
    this.#waves += 1;
    if (this.#timer === undefined) console.log(`wave ${this.#waves}: ${Object.values(this.#facts()).join(', ')}`);
  }

  /** Clears the line. */
  stop() {
    clearInterval(this.#timer);
    this.#write('');
  }

  #facts() {
    const { processes, maxProcesses, waiting } = this.#pool.status();
    const { sessions, calls } = this.#tally;
    return {
      sessions: `${String(sessions).padStart(3)}/${this.#total} sessions`,
      processes: `${processes}/${maxProcesses} processes`,
      calls: `${String(calls).padStart(3)} calls`,
      time: `${((performance.now() - this.#started) / 1000).toFixed(1)} s`,
      waiting: `${String(waiting).padStart(2)} waiting`,
    };
  }

  #rewrite() {
    const full = Math.round((BAR * this.#tally.sessions) / this.#total);
    const bar = '█'.repeat(full) + '░'.repeat(BAR - full);
    const parts = [bar, ...Object.values(this.#facts())];
    // Parts that do not fit are left out, from the right: a line that wraps cannot be rewritten.
    const room = (process.stdout.columns || 80) - 1;
    while (parts.length > 1 && parts.join('  ').length > room) parts.pop();
    this.#write(parts.join('  ').slice(0, room));
  }

  /** Overwrites the rest of a longer line with blanks, which works on any terminal. */
  #write(line) {
    if (this.#timer === undefined) return;
    process.stdout.write(`\r${line.padEnd(this.#shown)}${line === '' ? '\r' : ''}`);
    this.#shown = line.length;
  }
}
