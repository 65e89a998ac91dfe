import type { HostPressure, Pressure, Pressures, StallShares } from './host-sample.js';
import type { SystemFiles } from './system-files.js';

/** @param own the folder of the cgroup of this process */
export function readPressure(files: SystemFiles, own: string | undefined): HostPressure | undefined {
  const machine = pressures((of) => files.read(`/proc/pressure/${of}`));
  const cgroup = own === undefined ? undefined : pressures((of) => files.read(`${own}/${of}.pressure`));
  return machine || cgroup ? { machine, cgroup } : undefined;
}

function pressures(read: (of: string) => string | undefined): Pressures | undefined {
  const [memory, cpu, io] = ['memory', 'cpu', 'io'].map((of) => pressureIn(read(of)));
  return memory || cpu || io ? { memory, cpu, io } : undefined;
}

function pressureIn(text: string | undefined): Pressure | undefined {
  const some = sharesIn(text, 'some');
  return some && { some, full: sharesIn(text, 'full') };
}

function sharesIn(text = '', kind: string): StallShares | undefined {
  const line = new RegExp(`^${kind} avg10=([\\d.]{1,9}) avg60=([\\d.]{1,9}) avg300=([\\d.]{1,9}) `, 'm');
  const [avg10, avg60, avg300] = line.exec(text)?.slice(1).map(Number) ?? [];
  if (!isPercent(avg10) || !isPercent(avg60) || !isPercent(avg300)) return undefined;
  return { avg10, avg60, avg300 };
}

function isPercent(value: number | undefined): value is number {
  return value !== undefined && value >= 0 && value <= 100;
}
