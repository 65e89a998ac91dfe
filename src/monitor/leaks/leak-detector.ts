/** When the memory of a server counts as a leak. */
export interface LeakOptions {
  /** Each step of the verdict looks at windows of this length, in ms. Default: 3,600,000. */
  readonly window: number;
  /** What an instance uses in this time after its first sample counts for nothing, in ms. Default: 1,800,000. */
  readonly warmup: number;
  /** Slower growth is no leak, in MB an hour. Default: 5. */
  readonly minSlopeMBPerHour: number;
}

/** What an instance uses at one moment. */
export interface LeakSample {
  /** Clock time in ms. */
  readonly at: number;
  readonly memoryMB: number;
  /** Number of requests that it has got in its life. Where it is known, growth that goes with the load is no leak. */
  readonly requests?: number;
}

/** `suspected`: it has grown for two windows. `confirmed`: for three, and does not slow down. */
export type LeakVerdict = 'none' | 'suspected' | 'confirmed';

/** What is known of one instance after a sample. */
export interface LeakFinding {
  readonly verdict: LeakVerdict;
  /** Whether this sample changed the verdict. */
  readonly changed: boolean;
  /** Its growth, by the same windows as the verdict. 0 until there is something to tell. */
  readonly slopeMBPerHour: number;
}

const NOTHING: LeakFinding = { verdict: 'none', changed: false, slopeMBPerHour: 0 };

/** Tells which instances leak, by the memory that they use over hours. It has no clock: samples come with their time. */
export class LeakDetector {
  readonly options: LeakOptions;

  constructor(options: LeakOptions) {
    this.options = options;
  }

  /**
   * Takes a sample of an instance, and returns what is known of it. Samples come in the order of their time; one after a
   * pause, or after the clock was set, starts a new observation.
   *
   * @param name Of its server: its lives are compared with each other.
   */
  add(_instanceId: string, _name: string, _sample: LeakSample): LeakFinding {
    return NOTHING;
  }

  /** Ends the life of an instance: what it came to is kept, for the next ones of the same server. */
  remove(_instanceId: string): void {}

  /** Earlier lives of this server count no more: its definition has changed. */
  forget(_name: string): void {}
}
