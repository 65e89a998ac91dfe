import type { AlertNotification, UndeliveredAlert } from '../../config/alert.js';
import type { ResolvedAlerts } from '../../config/alert-options.js';
import { type NotifyDeps, NotifyLine } from './notify-line.js';

export interface TiersDeps extends Omit<NotifyDeps, 'onError'> {
  /** @param tier the first is 1 */
  onError(tier: number, error: unknown): void;
}

/** The tiers of the host: one line for each, so that one which fails holds up no other. */
export class Tiers {
  /** The first tier first. */
  readonly #lines: readonly NotifyLine[];

  constructor(tiers: ResolvedAlerts['tiers'], { onError, ...deps }: TiersDeps) {
    this.#lines = tiers.map(
      ({ notify }, index) => new NotifyLine(notify, { ...deps, onError: (error) => onError(index + 1, error) }),
    );
  }

  /** Tells the tiers after `from`, up to the one that the alert has reached now. */
  tellNew(from: number, alert: AlertNotification['alert'], suppressed: number): void {
    for (let tier = from + 1; tier <= alert.tier; tier++)
      this.#tell({ reason: tier === 1 ? 'raised' : 'escalated', tier, alert, suppressed });
  }

  /** Tells those that know of the alert. */
  tellAll(notification: Omit<AlertNotification, 'tier'>): void {
    for (let tier = 1; tier <= notification.alert.tier; tier++) this.#tell({ ...notification, tier });
  }

  /** The tiers that could not be told of an alert yet. */
  failures(id: string): UndeliveredAlert[] {
    return this.#lines.flatMap((line, index) => {
      const failure = line.failureOf(id);
      return failure === undefined ? [] : [{ tier: index + 1, ...failure }];
    });
  }

  close(): void {
    for (const line of this.#lines) line.close();
  }

  #tell(notification: AlertNotification): void {
    this.#lines[notification.tier - 1]?.push(notification);
  }
}
