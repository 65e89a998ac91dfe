import { SPARE } from '../instances/lease-scope.js';
import { LeaseClass, ServerEntry } from '../instances/server-entry.js';
import { Waiter, WaitingClass, WaitingServer } from './waiter.js';

/** Unused objects that keep the optimized code of their classes: see `LeaseTable.specimen`. */
export function newSpecimens(): readonly object[] {
  const server = new WaitingServer(new ServerEntry(''));
  const waiting = new WaitingClass(new LeaseClass(server.entry, ''), server, () => {});
  const request = { ...SPARE, timeout: 0, signal: undefined, reuseLease: false };
  return [server, waiting, new Waiter('', request, undefined, 0.5, 0, () => {})];
}
