import fc from 'fast-check';
import { expect, it } from 'vitest';
import { AnswerBatch } from '../../../src/pool/health/answer-batch.js';

it('[SLO-5] answers are counted each once, with their server and their times, however they come', () => {
  const answer = fc.record({
    name: fc.constantFrom('a', 'b'),
    since: fc.integer({ min: 0, max: 2 }),
    now: fc.integer({ min: 2, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(answer), fc.integer({ min: 0, max: 10 }), (answers, cut) => {
      const counted: string[] = [];
      const batch = new AnswerBatch((now, name, duration, times) => {
        for (let time = 0; time < times; time++) counted.push(`${name} ${now} ${duration}`);
      });
      for (const [index, { name, since, now }] of answers.entries()) {
        if (index === cut) batch.flush();
        batch.add(name, since, now);
      }
      batch.flush();
      batch.flush();
      expect(counted).toEqual(answers.map(({ name, since, now }) => `${name} ${now} ${now - since}`));
    }),
  );
});
