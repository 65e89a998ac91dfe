import type { Registry } from 'prom-client';

/** What a registry prints: `name{label="value"}` → value. */
export async function printed(register: Registry): Promise<Map<string, number>> {
  const lines = (await register.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end), Number(line.slice(end + 1).replace('Inf', 'Infinity'))];
    }),
  );
}

/** All values that a label has in what is printed. */
export function valuesOf(series: ReadonlyMap<string, number>, label: string): Set<string> {
  const pattern = new RegExp(`[{,]${label}="((?:[^"\\\\]|\\\\.)*)"`);
  return new Set([...series.keys()].flatMap((name) => pattern.exec(name)?.[1] ?? []));
}
