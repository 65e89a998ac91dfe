import { nearest } from '../../config/nearest.js';
import type { resolveStartOptions, StartProgress } from '../../config/order-options.js';
import { PoolError } from '../../errors.js';
import { listenerError } from '../../events.js';
import type { SequenceReport } from '../../sequence/sequence-report.js';
import type { PoolEmitter } from '../events.js';
import type { Fleet } from '../instances/fleet.js';
import { isOpen } from '../instances/server-entry.js';
import { poolClosed } from '../refusals.js';
import type { ServerOrder } from './server-order.js';
import type { TenantSequence } from './tenant-sequence.js';

export interface StartServersDeps {
  readonly emitter: PoolEmitter;
  readonly fleet: Fleet;
  readonly order: ServerOrder;
}

type Options = ReturnType<typeof resolveStartOptions>;

/** `pool.start()`: servers for calls without a tenant. */
export async function startServers(
  options: Options,
  { emitter, fleet, order }: StartServersDeps,
): Promise<SequenceReport> {
  if (!fleet.isOpen) throw poolClosed();
  const open = [...fleet.entries.values()].filter(isOpen);
  const names = options.only ?? open.filter(({ definition }) => definition.autoStart).map(({ name }) => name);
  checkNames(names, new Set(open.map(({ name }) => name)));
  const { onProgress, timeout, signal, onFailure } = options;
  const sequence = order.of(undefined);
  sequence.include(names);
  const wishes = names.map((name) => sequence.want(name, undefined));
  const forget = onProgress && follow(sequence, names, (progress) => tell(emitter, onProgress, progress));
  try {
    const report = await sequence.start({ only: names, timeout, signal, onFailure });
    // What has leases lives on.
    if (report.state === 'failed') sequence.forCallers.adopt();
    return report;
  } finally {
    for (const forgetWish of wishes) forgetWish();
    forget?.();
  }
}

/** @throws PoolError `INVALID_OPTIONS` that lists every problem */
function checkNames(names: readonly string[], known: ReadonlySet<string>): void {
  const problems = names
    .filter((name) => !known.has(name))
    .map((name) => {
      const [near] = nearest(name, known, 1);
      return `only must name servers, got '${name}'${near === undefined ? '' : `; did you mean '${near}'?`}`;
    });
  if (problems.length > 0) throw new PoolError('INVALID_OPTIONS', problems.join('\n'), { problems });
}

/** Returns a function that ends it. */
function follow(
  { manager }: TenantSequence,
  names: readonly string[],
  onProgress: (progress: StartProgress) => void,
): () => void {
  const all = new Set(manager.plan('start', { only: names }).waves.flat());
  const ready = new Set([...all].filter((name) => manager.stateOf(name) === 'ready'));
  const removals = (['starting', 'ready', 'failed', 'skipped'] as const).map((state) => {
    const listen = ({ id: name }: { readonly id: string }) => {
      if (!all.has(name)) return;
      if (state === 'ready') ready.add(name);
      else ready.delete(name);
      onProgress({ name, state, ready: ready.size, total: all.size });
    };
    manager.on(`step:${state}`, listen);
    return () => void manager.off(`step:${state}`, listen);
  });
  return () => {
    for (const remove of removals) remove();
  };
}

function tell(emitter: PoolEmitter, onProgress: (progress: StartProgress) => unknown, progress: StartProgress): void {
  const report = (error: unknown) => void emitter.emit('listener:error', listenerError('onProgress', error));
  try {
    void Promise.resolve(onProgress(progress)).catch(report);
  } catch (error) {
    report(error);
  }
}
