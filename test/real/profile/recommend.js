// From what was measured to what a definition should say. Pure.

/** The default of `eofGrace`, ms. */
const EOF_GRACE = 2_000;
/** What `eofGrace` should be for a server that does not end at the end of its stdin: no time is lost. */
const DEAF_GRACE = 300;

/**
 * The policy that the facts ask for, and the reasons. A definition may say more, for what no probe can see.
 * @param facts answers by question, as profile.js finds them; those that were not asked, or have failed, say nothing
 */
export function recommend(facts) {
  const policy = {};
  const reasons = [];
  const say = (fields, reason) => {
    Object.assign(policy, fields);
    reasons.push(reason);
  };
  const { state, together, second, ending } = facts;
  const { tenant, owner } = state?.visible ?? {};
  if (tenant === true && owner === false)
    say({ sharing: 'exclusive', reuse: 'owner' }, 'the next client sees what the last has left in the process');
  else if (together !== undefined && together.right < together.calls && !(together.oneAtATime === together.calls))
    say(
      { sharing: 'exclusive' },
      `${together.right} of ${together.calls} calls at once were right, one after the other no more`,
    );
  else if (together?.right !== undefined) say({ sharing: 'shared' }, `${together.calls} sessions used one process`);
  if (together?.oneAtATime === together?.calls && together !== undefined)
    say({ maxInFlight: 1 }, `${together.right} of ${together.calls} calls at once were right, one at a time all`);
  if (second?.works !== undefined && second.works !== true)
    say({ maxInstances: 1 }, `a second instance fails: ${second.works}`);
  if (ending !== undefined) {
    const grace = ending.eofAfterWork;
    if (grace === null) say({ eofGrace: DEAF_GRACE }, 'it does not end at the end of its stdin');
    else if (grace > EOF_GRACE) say({ eofGrace: grace }, `it takes up to ${grace} ms to end`);
  }
  return { policy, reasons };
}
