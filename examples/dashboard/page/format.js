const NONE = '–';

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const exact = new Intl.NumberFormat('en', { maximumFractionDigits: 3 });

/** A number that is undefined, or null in JSON, is not known. */
const known = (format) => (value) => (value === undefined || value === null ? NONE : format(value));

export const count = known((value) => whole.format(value));
export const megabytes = known((value) => `${whole.format(value)} MB`);
export const percent = known((value) => `${short.format(value)} %`);
export const share = known((value) => `${whole.format(100 * value)} %`);
export const precise = known((value) => `${exact.format(value)} %`);

export const duration = known((ms) => {
  if (ms < 1_000) return `${whole.format(ms)} ms`;
  if (ms < 60_000) return `${short.format(ms / 1_000)} s`;
  if (ms < 3_600_000) return `${whole.format(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${whole.format(ms / 3_600_000)} h`;
  return `${whole.format(ms / 86_400_000)} days`;
});

/** The time of day, of ms since 1970. */
export function clock(ms) {
  const date = new Date(ms);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}

/** `1 lease`, `2 leases`. */
export function plural(number, word) {
  return `${whole.format(number)} ${word}${number === 1 ? '' : 's'}`;
}
