/** How many questions of one kind are open: a server that hangs gets no more. */
const MOST_OPEN = 3;

type OnAnswer = (answer: Promise<unknown>) => void;

/** Questions of one kind to a server. A check waits for the answer to any that is open, since one may have been lost. */
export class OpenQuestions {
  readonly #ask: () => Promise<unknown>;
  readonly #waiting = new Set<OnAnswer>();
  #open = 0;

  constructor(ask: () => Promise<unknown>) {
    this.#ask = ask;
  }

  /**
   * @param onAnswer called once, with the next answer
   * @returns gives the answer up
   */
  ask(onAnswer: OnAnswer): () => void {
    this.#waiting.add(onAnswer);
    if (this.#open < MOST_OPEN) {
      this.#open += 1;
      const answer = this.#ask();
      const end = () => this.#answered(answer);
      answer.then(end, end);
    }
    return () => void this.#waiting.delete(onAnswer);
  }

  #answered(answer: Promise<unknown>): void {
    this.#open -= 1;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const onAnswer of waiting) onAnswer(answer);
  }
}
