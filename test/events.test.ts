import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { type ListenerError, SafeEmitter, tap } from '../src/events.js';
import { Outbox } from '../src/runtime/outbox.js';
import { flush } from './helpers/until.js';

interface Events {
  'thing:happened': { readonly what: string };
  'thing:ended': { readonly what: string };
  'listener:error': ListenerError;
}

function emitter() {
  const events = new SafeEmitter<Events>();
  const errors: ListenerError[] = [];
  events.on('listener:error', (payload) => errors.push(payload));
  return { events, errors };
}

describe('SafeEmitter', () => {
  it('[EVENT-1] reports what a listener throws, and calls the others all the same', () => {
    const { events, errors } = emitter();
    const seen: string[] = [];
    const boom = new Error('boom');
    events.on('thing:happened', ({ what }) => seen.push(`before ${what}`));
    events.on('thing:happened', () => {
      throw boom;
    });
    events.on('thing:happened', ({ what }) => seen.push(`after ${what}`));
    expect(() => events.emit('thing:happened', { what: 'x' })).not.toThrow();
    expect(seen).toEqual(['before x', 'after x']);
    expect(errors).toEqual([{ event: 'thing:happened', error: boom }]);
  });

  it('[EVENT-1] reports what a listener rejects with', async () => {
    const { events, errors } = emitter();
    const boom = new Error('boom');
    const rejecting = async () => {
      throw boom;
    };
    events.on('thing:happened', rejecting);
    events.emit('thing:happened', { what: 'x' });
    await flush();
    expect(errors).toEqual([{ event: 'thing:happened', error: boom }]);
  });

  it('[EVENT-1] and what a promise of another class rejects with', async () => {
    const { events, errors } = emitter();
    const boom = new Error('boom');
    events.on('thing:happened', () => runInNewContext('(error) => Promise.reject(error)')(boom));
    events.emit('thing:happened', { what: 'x' });
    await flush();
    expect(errors).toEqual([{ event: 'thing:happened', error: boom }]);
  });

  it('[EVENT-1] survives a listener of listener:error that throws or rejects itself', async () => {
    const events = new SafeEmitter<Events>();
    let calls = 0;
    events.on('listener:error', () => {
      calls += 1;
      throw new Error('again');
    });
    const rejecting = async () => {
      throw new Error('and again');
    };
    events.on('listener:error', rejecting);
    events.on('thing:happened', () => {
      throw new Error('first');
    });
    events.emit('thing:happened', { what: 'x' });
    await flush();
    expect(calls).toBe(1);
  });

  it('[EVENT-1] needs no listener of listener:error', () => {
    const events = new SafeEmitter<Events>();
    events.on('thing:happened', () => {
      throw new Error('nothing hears this');
    });
    expect(events.emit('thing:happened', { what: 'x' })).toBe(true);
    expect(events.emit('thing:ended', { what: 'x' })).toBe(false);
  });

  it('[EVENT-2] off takes off the listener that on added, for that event alone', () => {
    const { events } = emitter();
    const seen: string[] = [];
    const listener = ({ what }: { what: string }) => seen.push(what);
    events.on('thing:happened', listener);
    events.on('thing:ended', listener);
    events.off('thing:happened', listener);
    events.emit('thing:happened', { what: 'no' });
    events.emit('thing:ended', { what: 'yes' });
    expect(seen).toEqual(['yes']);
    expect(events.listenerCount('thing:happened')).toBe(0);
  });

  it('[EVENT-2] off of a listener that was never added takes no listener off', () => {
    const { events } = emitter();
    const seen: string[] = [];
    events.on('thing:happened', ({ what }) => seen.push(what));
    events.off('thing:happened', () => {});
    events.removeListener('thing:happened', () => {});
    events.emit('thing:happened', { what: 'still' });
    expect(seen).toEqual(['still']);
  });

  it('[EVENT-2] off without a listener takes all of that event off', () => {
    const { events } = emitter();
    events.on('thing:happened', () => {});
    events.on('thing:happened', () => {});
    events.on('thing:ended', () => {});
    events.off('thing:happened');
    expect(events.listenerCount('thing:happened')).toBe(0);
    expect(events.listenerCount('thing:ended')).toBe(1);
  });

  it('[EVENT-2] once calls once, also among other listeners, and also when it throws', () => {
    const { events, errors } = emitter();
    const seen: string[] = [];
    events.once('thing:happened', ({ what }) => seen.push(`once ${what}`));
    events.emit('thing:happened', { what: '1' });
    events.emit('thing:happened', { what: '2' });
    expect(seen).toEqual(['once 1']);
    expect(events.listenerCount('thing:happened')).toBe(0);

    events.on('thing:ended', ({ what }) => seen.push(`on ${what}`));
    events.once('thing:ended', ({ what }) => {
      throw new Error(what);
    });
    events.emit('thing:ended', { what: '3' });
    events.emit('thing:ended', { what: '4' });
    expect(seen).toEqual(['once 1', 'on 3', 'on 4']);
    expect(errors).toHaveLength(1);
  });

  it('[EVENT-2] once can be taken off before it is called', () => {
    const { events } = emitter();
    const seen: string[] = [];
    const listener = ({ what }: { what: string }) => seen.push(what);
    events.once('thing:happened', listener);
    events.off('thing:happened', listener);
    events.emit('thing:happened', { what: 'x' });
    expect(seen).toEqual([]);
  });

  it('[EVENT-2] once does not take off the same listener that on added', () => {
    const { events } = emitter();
    const seen: string[] = [];
    const listener = ({ what }: { what: string }) => seen.push(what);
    events.on('thing:happened', listener);
    events.once('thing:happened', listener);
    events.emit('thing:happened', { what: '1' });
    events.emit('thing:happened', { what: '2' });
    expect(seen).toEqual(['1', '1', '2']);
  });

  it('[EVENT-2] calls each listener with the context that it was added with', () => {
    const { events } = emitter();
    const contexts: unknown[] = [];
    function listener(this: unknown) {
      contexts.push(this);
    }
    const [one, two] = [{ name: 'one' }, { name: 'two' }];
    events.on('thing:happened', listener, one);
    events.on('thing:happened', listener, two);
    events.emit('thing:happened', { what: 'x' });
    expect(contexts).toEqual([one, two]);
    events.off('thing:happened', listener, one);
    events.emit('thing:happened', { what: 'x' });
    expect(contexts).toEqual([one, two, two]);
  });

  it('[EVENT-2] addListener and removeListener are on and off', () => {
    const { events } = emitter();
    const seen: string[] = [];
    const listener = ({ what }: { what: string }) => {
      seen.push(what);
    };
    events.addListener('thing:happened', listener);
    events.emit('thing:happened', { what: '1' });
    events.removeListener('thing:happened', listener);
    events.emit('thing:happened', { what: '2' });
    expect(seen).toEqual(['1']);
  });
});

describe('tap()', () => {
  it('[AUDIT-11] hears what is emitted, before the listeners, and no host removes it or sees it', () => {
    const { events } = emitter();
    const seen: string[] = [];
    tap(events, ['thing:happened'], (event, payload) =>
      seen.push(`tap ${event} ${(payload as { what: string }).what}`),
    );
    events.on('thing:happened', ({ what }) => seen.push(`listener ${what}`));
    expect(events.emit('thing:happened', { what: '1' })).toBe(true);
    events.removeAllListeners('thing:happened');
    events.removeAllListeners();
    expect(events.emit('thing:happened', { what: '2' })).toBe(false);
    expect(events.emit('thing:ended', { what: '3' })).toBe(false);
    expect(seen).toEqual(['tap thing:happened 1', 'listener 1', 'tap thing:happened 2']);
    expect([events.listenerCount('thing:happened'), events.eventNames()]).toEqual([0, []]);
  });

  it('[AUDIT-11] may be called for an event more than once: each hears it', () => {
    const { events } = emitter();
    const seen: string[] = [];
    tap(events, ['thing:happened', 'thing:ended'], () => seen.push('first'));
    tap(events, ['thing:happened'], () => seen.push('second'));
    events.emit('thing:happened', { what: '1' });
    events.emit('thing:ended', { what: '2' });
    expect(seen).toEqual(['first', 'second', 'first']);
  });

  it('[AUDIT-11] hears them in their order, when the operation is complete', () => {
    const outbox = new Outbox();
    const events = new SafeEmitter<Events>(outbox);
    const seen: string[] = [];
    tap(events, ['thing:happened'], () => seen.push('tap'));
    events.on('thing:ended', () => seen.push('listener'));
    outbox.hold();
    events.emit('thing:ended', { what: '1' });
    events.emit('thing:happened', { what: '2' });
    seen.push('operation');
    outbox.release();
    expect(seen).toEqual(['operation', 'listener', 'tap']);
  });
});
