import { PoolError } from '../errors.js';
import type { Clock } from '../runtime/clock.js';
import { LaneFolder } from '../sequence/lanes/lane-folder.js';
import { takeTicket, waitForTurn } from '../sequence/lanes/lane-lock.js';

/**
 * Waits until no other process of this user asks npm the same. Where there are no lanes it does not wait: two processes may
 * then install the same, each in a folder of its own.
 * @returns what ends the turn
 * @throws the reason of the signal
 */
export async function machineTurn(key: string, clock: Clock, signal: AbortSignal): Promise<() => void> {
  try {
    const folder = new LaneFolder(`package ${key}`, undefined);
    const turn = await takeTicket(folder, { pid: process.pid, command: 'npm', since: Date.now() });
    try {
      await waitForTurn(folder, turn, { clock, signal, onPlace() {} });
    } catch (error) {
      turn.leave();
      throw error;
    }
    return () => turn.leave();
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof PoolError) return () => {};
    throw error;
  }
}
