import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';
import { until } from './until.js';

/** The number of the system call that ends one thread. */
const EXIT = `{'x86_64': 60, 'aarch64': 93}[platform.machine()]`;
const NEEDED = `import ctypes, mmap, platform, threading; ${EXIT}`;

/** Whether these programs can be run here. */
export const CAN_HIDE = spawnSync('python3', ['-c', NEEDED], { stdio: 'ignore' }).status === 0;

/** 60 MB of shared memory, which a child has, too. Both end with stdin. */
export const SHARING = `
import mmap, os, sys
held = mmap.mmap(-1, 60 << 20)
parent = os.fork()
for page in range(0, len(held), 4096): held[page] = 1
print('touched', flush=True)
sys.stdin.readline()
if parent: os.wait()`;

/** 60 MB of a thread that outlives the main thread, and ends with stdin. */
export const OUTLIVED = `
import ctypes, os, platform, sys, threading
def hold():
    held = bytearray(60 << 20)
    for page in range(0, len(held), 4096): held[page] = 1
    print('touched', flush=True)
    sys.stdin.readline()
    os._exit(0)
threading.Thread(target=hold).start()
ctypes.CDLL(None).syscall(${EXIT}, 0)`;

/** Its pid, once so many processes have touched all of their memory. It ends with the test. */
export async function holding(script: string, touched: number): Promise<number> {
  const child = spawn('python3', ['-c', script], { stdio: ['pipe', 'pipe', 'ignore'] });
  let said = '';
  child.stdout.on('data', (data) => {
    said += data;
  });
  const exited = once(child, 'exit');
  onTestFinished(async () => {
    child.stdin.end();
    await exited;
  });
  await until('all memory is touched', () => said.split('touched').length > touched);
  return child.pid as number;
}
