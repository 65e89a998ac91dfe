import { describe, expect, it } from 'vitest';
import { Outbox } from '../../src/runtime/outbox.js';

describe('an outbox', () => {
  it('[EVENT-1] delivers in order when the outermost operation is complete, and what a task adds after the rest', () => {
    const outbox = new Outbox();
    const done: string[] = [];
    outbox.hold();
    outbox.hold();
    outbox.push(() => {
      done.push('first');
      outbox.push(() => done.push('added'));
    });
    outbox.push(() => done.push('second'));
    outbox.release();
    expect(done).toEqual([]);
    outbox.release();
    expect(done).toEqual(['first', 'second', 'added']);
  });

  it('[EVENT-1] loses nothing when a task throws', () => {
    const outbox = new Outbox();
    const done: string[] = [];
    outbox.hold();
    outbox.push(() => {
      throw new Error('a fault');
    });
    outbox.push(() => done.push('after it'));
    expect(() => outbox.release()).toThrow('a fault');
    expect(done).toEqual(['after it']);
    outbox.push(() => done.push('later'));
    expect(done).toEqual(['after it', 'later']);
  });
});
