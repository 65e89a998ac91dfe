import type { LedgerRecord } from '../../src/process/guardian/ledger.js';
import { type HostOrigin, newOrigin } from '../../src/process/marks/host-origin.js';
import { markOf } from '../../src/process/marks/marker.js';

/** What a host with this origin writes down about itself. Default: that of this process. */
export function ledgerRecord({ cgroups = [], login, ...more }: Partial<LedgerRecord> = {}): LedgerRecord {
  for (;;) {
    const origin = { ...(newOrigin() as HostOrigin), ...more };
    const mark = markOf(origin);
    if (mark !== undefined) return { ...origin, mark, cgroups, ...(login === undefined ? {} : { login }) };
  }
}
