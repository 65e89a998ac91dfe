/** The last events, numbered. */
const KEPT = 500;

/** Too many, and of no use to a person; lines of stderr may have secrets. */
const LEFT_OUT = new Set(['health:checked', 'server:stderr']);

/** What stands out. */
const TONES = {
  bad: [
    ...['server:failed', 'server:quarantined', 'breaker:opened', 'cleanup:failed', 'stuck:detected', 'leak:confirmed'],
    ...['alert:raised', 'alert:escalated', 'service-level:breached', 'listener:error', 'internal:error'],
  ],
  warn: [
    ...['server:restarting', 'lease:reclaimed', 'lease:leaked', 'queue:rejected', 'limit:reached', 'limit:exceeded'],
    ...['growth:detected', 'leak:suspected', 'level:changed', 'monitor:degraded', 'containment:degraded'],
  ],
  good: [
    ...['server:ready', 'server:restarted', 'breaker:closed', 'limit:recovered'],
    ...['alert:acknowledged', 'alert:resolved', 'service-level:recovered'],
  ],
};
const TONE_OF = new Map(Object.entries(TONES).flatMap(([tone, events]) => events.map((event) => [event, tone])));

const plain = (value) => {
  if (typeof value === 'number') return String(Math.round(value * 10) / 10);
  return typeof value === 'string' || typeof value === 'boolean' ? String(value).slice(0, 300) : undefined;
};
const ms = (value) => (typeof value === 'number' ? `${Math.round(value)} ms` : undefined);
/** The code alone: a message may quote what a server has written. */
const code = (value) => plain(value?.code ?? value?.name);
const amount = (value) => (Array.isArray(value) ? String(value.length) : plain(value));

/** Every field that is shown, in this order, and how it is read. What is not here never gets to a page. */
const FIELDS = {
  severity: plain,
  message: plain,
  from: plain,
  to: plain,
  status: plain,
  kind: plain,
  limit: plain,
  value: plain,
  measured: plain,
  threshold: plain,
  level: plain,
  action: plain,
  reason: plain,
  code: plain,
  error: code,
  exitCode: plain,
  signal: plain,
  step: plain,
  unexpected: plain,
  outOfMemory: plain,
  acknowledgedBy: plain,
  duration: ms,
  waited: ms,
  held: ms,
  silent: ms,
  delay: ms,
  cooldown: ms,
  age: ms,
  attempt: plain,
  waiting: plain,
  processes: amount,
  survivors: amount,
  dryRun: plain,
  part: plain,
  fault: plain,
  verdict: plain,
  mode: plain,
  pid: plain,
  instanceId: plain,
  previousInstanceId: plain,
  leaseId: plain,
};

/** What happens in a pool, as lines for a person. It keeps the last 500, whatever happens. */
export class EventLog {
  #entries = [];
  #latest = 0;

  /** Number of the last one. */
  get latest() {
    return this.#latest;
  }

  /** @param at ms since 1970 */
  add(event, payload, at) {
    if (LEFT_OUT.has(event)) return;
    this.#latest += 1;
    this.#entries.push({ seq: this.#latest, at, event, tone: toneOf(event, payload), ...lineOf(payload) });
    // In one go, since each shift of an array this long costs.
    if (this.#entries.length > 2 * KEPT) this.#entries = this.#entries.slice(-KEPT);
  }

  /** Those after a number. A number that is not known yet is of an earlier run: then all. */
  after(seq) {
    const known = seq <= this.#latest ? seq : 0;
    const missing = Math.min(this.#latest - known, KEPT);
    return missing === 0 ? [] : this.#entries.slice(-missing);
  }
}

function toneOf(event, { unexpected, to } = {}) {
  if (event === 'server:exited') return unexpected ? 'bad' : 'plain';
  if (event === 'health:changed') return to === 'healthy' ? 'good' : 'warn';
  return TONE_OF.get(event) ?? 'plain';
}

function lineOf(payload = {}) {
  const { name, subject } = payload;
  const parts = Object.entries(FIELDS).flatMap(([field, read]) => {
    const value = Object.hasOwn(payload, field) ? read(payload[field]) : undefined;
    return value === undefined || value === '' ? [] : [`${field} ${value}`];
  });
  return { name: plain(name ?? subject?.name) ?? '', text: parts.join(', ') };
}
