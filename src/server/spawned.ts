import { withEnvironment } from '../config/environment.js';
import type { ResolvedDefinition } from '../config/options.js';
import { processKey } from '../config/process-key.js';
import type { LaunchSpec } from '../process/launcher.js';
import { Secrets } from './secrets.js';

/** What a process is spawned with: its definition, and what the host has at that moment. */
export class Spawned {
  readonly spec: LaunchSpec;
  /** As {@link processKey}. */
  readonly key: string;
  readonly #definition: ResolvedDefinition;
  #secrets: Secrets | undefined;

  constructor(definition: ResolvedDefinition) {
    this.#definition = definition;
    this.spec = withEnvironment(definition);
    this.key = processKey(definition, this.spec.resolvedEnv);
  }

  /** What must not be shown of what it writes. */
  get secrets(): Secrets {
    this.#secrets ??= new Secrets(this.#definition, this.spec.resolvedEnv);
    return this.#secrets;
  }
}
