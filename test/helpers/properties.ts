import fc from 'fast-check';

/**
 * A fixed seed, so that every run has the same cases, and a change fails only because of the change. `npm run test:explore`
 * looks for new cases; each failure gets a fix and a test of its own.
 */
const { EXPLORE } = process.env;
fc.configureGlobal(EXPLORE === undefined ? { seed: 20_261_121 } : {});
