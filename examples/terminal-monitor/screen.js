// Escape sequences of xterm, which every common terminal knows.
const [SECOND_SCREEN, FIRST_SCREEN] = ['\x1b[?1049h', '\x1b[?1049l'];
const [HIDE_CURSOR, SHOW_CURSOR] = ['\x1b[?25l', '\x1b[?25h'];
const [HOME, CLEAR_LINE, CLEAR_REST] = ['\x1b[H', '\x1b[K', '\x1b[J'];

/**
 * Draws pictures: on a terminal in place, on its second screen, so that what was there comes back at the end; in a file or a
 * pipe one below the other.
 */
export class Screen {
  #output;
  #isOpen = false;
  #close = () => this.close();

  constructor(output) {
    this.#output = output;
  }

  /** How pictures are to be formatted: the options of `formatStatus()`. */
  get format() {
    const { isTTY, columns } = this.#output;
    // Some terminals say that they have 0 columns.
    return { color: isTTY === true && !process.env.NO_COLOR, width: columns || 80 };
  }

  draw(picture) {
    if (!this.#output.isTTY) return void this.#output.write(`${picture}\n\n`);
    if (!this.#isOpen) {
      this.#isOpen = true;
      // Also when an error ends the process.
      process.once('exit', this.#close);
      this.#output.write(SECOND_SCREEN + HIDE_CURSOR);
    }
    // A line more than the terminal has would scroll.
    const lines = picture.split('\n').slice(0, Math.max(1, (this.#output.rows || 24) - 1));
    this.#output.write(HOME + lines.map((line) => `${line}${CLEAR_LINE}\n`).join('') + CLEAR_REST);
  }

  /** Leaves the terminal as it was. */
  close() {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    process.off('exit', this.#close);
    this.#output.write(SHOW_CURSOR + FIRST_SCREEN);
  }
}
