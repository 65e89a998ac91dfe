import { describe, expect, it, onTestFinished } from 'vitest';
import { KeepAlive } from '../../src/runtime/keep-alive.js';
import { runHost } from '../helpers/host.js';
import { rejection } from '../helpers/until.js';

const held = () => process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length;

function make() {
  const hold = new KeepAlive();
  onTestFinished(() => hold.dispose());
  return hold;
}

describe('KeepAlive', () => {
  it('[GUEST-2] holds the host until it was let go as often as it was taken', () => {
    const hold = make();
    const before = held();
    hold.take();
    hold.take();
    expect(held()).toBe(before + 1);
    hold.drop();
    expect(held()).toBe(before + 1);
    hold.drop();
    expect(held()).toBe(before);
    hold.take();
    expect(held()).toBe(before + 1);
    hold.drop();
  });

  it('[GUEST-2] holds it during a promise, whatever comes of that', async () => {
    const hold = make();
    const before = held();
    let settle!: () => void;
    const waiting = hold.during(
      new Promise<void>((resolve) => {
        settle = resolve;
      }),
    );
    expect(held()).toBe(before + 1);
    settle();
    await waiting;
    expect(held()).toBe(before);
    const error = new Error('no');
    expect(await rejection(hold.during(Promise.reject(error)))).toBe(error);
    expect(held()).toBe(before);
  });

  it('[GUEST-1] [GUEST-2] lets a host end that has dropped it, and no other', async () => {
    const script = (drop: string) => `
      const { KeepAlive } = await import(SRC + '/runtime/keep-alive.js');
      const hold = new KeepAlive();
      hold.take();
      setTimeout(() => {
        ${drop};
        console.log('turned');
        // Holds no host open by itself.
        setTimeout(() => { console.log('still here'); process.exit(); }, 200).unref();
      }, 50);
    `;
    expect(await runHost(script('hold.drop()'))).toMatchObject({ code: 0, stdout: 'turned\n' });
    expect(await runHost(script(''))).toMatchObject({ code: 0, stdout: 'turned\nstill here\n' });
  });
});
