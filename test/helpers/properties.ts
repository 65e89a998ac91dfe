import fc from 'fast-check';

/**
 * The same cases in every run, so that a change fails only for what it does itself. `npm run test:explore` looks for new
 * ones: what it finds gets fixed, and a test of its own.
 */
const { EXPLORE } = process.env;
fc.configureGlobal(EXPLORE === undefined ? { seed: 20_261_121 } : {});
