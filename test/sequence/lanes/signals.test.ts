import { describe, expect, it } from 'vitest';
import { newFolder } from '../../helpers/folders.js';
import { startHost } from '../../helpers/host.js';
import { newLane } from '../../helpers/lanes.js';
import { isLiving } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

const host = (options: string) => {
  const started = startHost(`
    const { SequentialExecutor } = await import(SRC + '/index.js');
    const lane = new SequentialExecutor({ lane: 'tests', folder: ${JSON.stringify(newFolder())}, ${options} });
    const deaf = "trap '' INT; trap 'exit 9' TERM; while :; do sleep 0.1; done";
    const { endedBy, exitCode } = await lane.run('sh', ['-c', deaf], { onStart: ({ pid }) => console.log(pid) });
    console.log(endedBy, exitCode);
    setInterval(() => {}, 1e6);`);
  const pid = until('its command runs', () => Number(/^\d+\n/.exec(started.stdout())?.[0] ?? 0));
  return { ...started, pid };
};

describe('handleSignals of a lane', () => {
  it('[LANE-15] ends the tree before the host ends by the signal', async () => {
    const { child, pid, result } = host('handleSignals: true');
    const command = await pid;
    child.kill('SIGINT');
    expect(await result).toMatchObject({ signal: 'SIGINT', stdout: `${command}\nabort 9\n`, stderr: '' });
    expect(isLiving(command)).toBe(false);
  });

  it('[LANE-15] listens only while it has something to end', async () => {
    const before = process.listenerCount('SIGINT');
    const lane = newLane({ handleSignals: true });
    expect(process.listenerCount('SIGINT')).toBe(before);
    let during = 0;
    await lane.run('true', [], {
      onStart: () => {
        during = process.listenerCount('SIGINT');
      },
    });
    expect([during, process.listenerCount('SIGINT')]).toEqual([before + 1, before]);
  });

  it('[LANE-15] is off by default: the host ends at once, and the guardian ends the tree', async () => {
    const { child, pid, result } = host('');
    const command = await pid;
    child.kill('SIGINT');
    expect(await result).toMatchObject({ signal: 'SIGINT', stdout: `${command}\n` });
    await until('the guardian has ended the tree', () => !isLiving(command));
  });
});
