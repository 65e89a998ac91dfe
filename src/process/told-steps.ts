import type { StepListener } from './launcher.js';
import type { EndStep, TerminationReport } from './termination-report.js';

/** The ladder has three steps; a job of a host may report any number. */
const MOST_REPORTED = 20;

/** Tells each step of one attempt to end a tree. */
export class ToldSteps {
  readonly #tell: StepListener;
  #last: EndStep | undefined;

  constructor(tell: StepListener) {
    this.#tell = tell;
  }

  /** A step is taken now. Two kills in a row are one. */
  readonly take: StepListener = (step, processes) => {
    if (step === this.#last) return;
    this.#last = step;
    this.#tell(step, processes);
  };

  /** The attempt has this report: a job that has told no step may have them there. */
  complete(report: TerminationReport): void {
    const { steps } = report ?? {};
    if (this.#last !== undefined || !Array.isArray(steps)) return;
    for (const taken of (steps as TerminationReport['steps']).slice(0, MOST_REPORTED)) {
      if (typeof taken?.step === 'string') this.take(taken.step, taken.processes);
    }
  }
}
