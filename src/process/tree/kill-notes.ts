import type { StepListener } from '../launcher.js';
import type { TerminationReport } from '../termination-report.js';

/** What was killed of a tree outside the ladder, so that the report of the ladder has it, too. */
export class KillNotes {
  readonly #kills: { readonly time: number; readonly processes: number }[] = [];
  /** How many of them were told. */
  #told = 0;
  #onStep: StepListener | undefined;

  get isEmpty(): boolean {
    return this.#kills.length === 0;
  }

  note(processes: number): void {
    if (processes > 0) this.#kills.push({ time: performance.now(), processes });
    this.#tellNew();
  }

  /** From now on each is told when it is noted; those of before now. */
  tell(onStep: StepListener | undefined): void {
    this.#onStep = onStep;
    this.#tellNew();
  }

  /** Adds them to the report of a ladder that began at this time. */
  addTo(report: TerminationReport, started: number): TerminationReport {
    const kills = this.#kills.map(({ time, processes }) => {
      return { step: 'SIGKILL' as const, at: Math.max(0, Math.round(time - started)), processes };
    });
    // A kill before the ladder began counts as one at its start: before the first step, which may find the last to die.
    const all = [...kills, ...report.steps].sort((a, b) => a.at - b.at);
    // Two kills in a row are reported as one step.
    const steps = all.filter(({ step }, index) => step !== all[index - 1]?.step);
    return { ...report, steps, endedBy: steps.at(-1)?.step ?? report.endedBy };
  }

  #tellNew(): void {
    if (this.#onStep === undefined) return;
    for (const { processes } of this.#kills.slice(this.#told)) this.#onStep('SIGKILL', processes);
    this.#told = this.#kills.length;
  }
}
